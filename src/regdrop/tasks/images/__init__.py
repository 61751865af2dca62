"""Images in memory and their pixels as a model takes them."""

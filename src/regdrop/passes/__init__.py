"""K sub-models out of one model: run it K times, or attach the loss to it."""

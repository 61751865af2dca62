"""Where texts come from: running text, pairs of texts, sentences with labels."""

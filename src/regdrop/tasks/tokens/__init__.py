"""Texts as tokens: vocabularies, rows of ids, the data sets that serve them and the batches they come in."""

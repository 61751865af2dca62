"""K sub-models out of one model: which noise acts, paired forwards, and `attach`."""

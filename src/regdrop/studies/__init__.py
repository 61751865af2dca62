"""Several runs compared: seeds, sweeps, statistics."""

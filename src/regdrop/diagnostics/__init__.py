"""What dropout does to a model: how far its sub-models disagree, how well it is calibrated, what R-Drop could gain."""

"""Tensors in, numbers out: the R-Drop loss and its divergence; imports torch and `regdrop.errors` alone."""

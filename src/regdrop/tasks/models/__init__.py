"""The networks that recipes describe, and the weights they start from."""

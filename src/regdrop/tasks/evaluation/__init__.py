"""What is kept of a model's outputs, and what it writes, for its metrics."""

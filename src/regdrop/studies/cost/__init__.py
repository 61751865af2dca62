"""What a training step costs, in time and in memory: measured, compared and put into words."""

"""Evidence: what R-Drop gained on real data here, and what it cost; run by hand, read from the records."""

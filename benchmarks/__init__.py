"""Speed and memory, each against its peers in the same run: `python -m benchmarks.loss --help`."""

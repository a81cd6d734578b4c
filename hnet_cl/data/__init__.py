"""The tasks of a benchmark looked at, without training."""

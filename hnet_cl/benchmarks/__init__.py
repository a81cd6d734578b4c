"""Benchmarks: sequences of tasks made from data. They know no method and no scenario."""

"""Benchmarks: sequences of tasks made from data, independent of methods and scenarios."""

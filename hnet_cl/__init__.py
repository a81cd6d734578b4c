"""Continual learning with hypernetworks: library and experiment runner."""

__version__ = "0.1.0"

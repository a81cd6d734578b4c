"""Metrics, and everything that is written to a run folder."""

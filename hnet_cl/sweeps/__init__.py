"""Sweeps of many runs: grids, hyperparameter searches, and launchers."""

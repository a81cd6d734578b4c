"""Comparison of finished runs: tables, plots and an HTML page. Reads files only; needs neither torch nor Hydra."""

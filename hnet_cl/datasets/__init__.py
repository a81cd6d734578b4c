"""Datasets: fetching, verifying, decoding and caching of data files. Nothing here depends on tasks."""

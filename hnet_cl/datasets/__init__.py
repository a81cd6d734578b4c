"""Data files to arrays: fetching, checksums, caching. Knows no task."""

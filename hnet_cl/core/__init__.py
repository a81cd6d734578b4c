"""Foundations that all other packages may use: errors, files, signals, random streams. Imports none of the others."""

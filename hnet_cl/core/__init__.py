"""What everything else may use: errors, files, signals, random streams. Knows nothing of the rest."""

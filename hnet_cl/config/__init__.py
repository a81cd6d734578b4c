"""From the command line to a checked plan, or to a one-line message for each mistake in it."""

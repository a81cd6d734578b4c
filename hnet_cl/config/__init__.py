"""From the words of the command line to a checked plan, and what is said where they are wrong."""

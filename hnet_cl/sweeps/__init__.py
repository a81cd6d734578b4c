"""Many runs at once: grids, searches, and what launches them."""

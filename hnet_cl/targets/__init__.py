"""Target networks: plain modules that know no task and no hypernetwork."""

"""Target networks: plain modules that know nothing of tasks and hypernetworks."""

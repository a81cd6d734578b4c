"""Learners, one file per continual-learning method, independent of the trainer and of the configuration framework."""

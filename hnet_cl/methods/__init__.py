"""Learners: one file per continual-learning method. They know no trainer and no configuration framework."""

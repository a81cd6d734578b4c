"""The training loop, evaluation, seeding and checkpoints."""

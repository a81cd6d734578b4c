"""What learners are put together from."""

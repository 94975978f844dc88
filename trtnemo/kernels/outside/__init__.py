"""What ops need that are called from outside of an executor."""

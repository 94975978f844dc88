"""External servers: what each version takes, and its known issues."""

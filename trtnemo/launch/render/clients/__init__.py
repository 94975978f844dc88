"""What clients of a server are configured with."""

"""What is told of a server that is kept: events, counts, states for systemd, its log."""

"""The front of our own server before other servers: keys, limits, bounds, readiness, errors that clients can read."""

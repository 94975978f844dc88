"""What stands before a server that people may reach: keys, limits, bounds, logs, a page. It knows no engine."""

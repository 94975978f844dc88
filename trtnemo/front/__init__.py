"""What stands before a server that people may reach: keys, limits, bounds, logs. It knows no engine and no model."""

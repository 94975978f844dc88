"""Rules on manifests; each module here holds those on one matter, and registers them by its RULES."""

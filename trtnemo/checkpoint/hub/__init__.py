"""Names of checkpoints as directories: the hub's listings, headers by range requests, downloads."""

"""States of prompt prefixes on disk: found by their tokens, as those in memory, and there after a restart."""

"""Which sequences run in the next step, with what state, and what comes of it."""

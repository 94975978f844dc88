"""From the bytes of a body to what it asks, in this process or, where it is long, in one of its own."""

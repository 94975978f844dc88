"""Request bodies, as this server takes them: what is not here is refused, never ignored."""

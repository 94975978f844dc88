"""A server's command line and YAML, read as the server would read them."""

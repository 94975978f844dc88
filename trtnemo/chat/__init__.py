"""A conversation with a running server: in a terminal, from a script of lines, or one question."""

"""Pasted text: shell lines, docker lines, files, as the server start that they mean."""

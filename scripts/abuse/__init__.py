"""What clients may do to a server, tried while a second connection asks for /health."""

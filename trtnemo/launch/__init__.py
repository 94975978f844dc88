"""What is needed to start a server on a machine: for now, only the look at the machine itself."""

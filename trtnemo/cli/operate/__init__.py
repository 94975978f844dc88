"""Commands that start a server, talk to one, or ask what this machine can do."""

"""The commands of `trtnemo bench`."""

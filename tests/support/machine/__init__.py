"""Machines as programs see them."""

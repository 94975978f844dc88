"""Keeping an external server serving: watched by its progress, ended whole, started again."""

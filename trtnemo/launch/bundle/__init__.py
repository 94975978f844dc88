"""Sealed bundles: written, checked before a start, started and supervised."""

"""Measuring servers: loads, sweeps, comparisons and gates, and accuracy."""

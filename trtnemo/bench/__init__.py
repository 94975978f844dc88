"""Measuring servers: accuracy now; load, sweeps and gates are later work."""

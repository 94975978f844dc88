"""Merging adapters of PEFT into plain weights."""

"""Commands that read and write weights."""

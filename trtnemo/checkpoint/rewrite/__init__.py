"""New checkpoints made of old ones: repaired or quantized."""

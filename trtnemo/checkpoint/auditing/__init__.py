"""The audit of a checkpoint: every tensor, every scale, the config, the tokenizer."""

"""Chat formats: how a model marks its thinking and its tool calls; one file each, which registers itself."""

"""One load against one server: its shape, its prompts, the generator, the record."""

"""Shell text, read and never run, by the grammar of tree-sitter-bash."""

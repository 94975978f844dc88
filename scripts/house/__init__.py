"""The repository looked at as source: sizes, names, circles of imports, and the pages made of docstrings."""

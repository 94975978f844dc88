"""A network of any size run over texts: each weight is read when it is needed, and forgotten."""

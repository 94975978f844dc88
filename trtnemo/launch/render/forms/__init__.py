"""Forms that a server start is written in; each module here is one, and registers itself by its FORM."""

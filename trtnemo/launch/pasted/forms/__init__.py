"""Forms that people paste a server start in; each module here is one, and registers itself by its FORM."""

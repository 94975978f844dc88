"""External servers: version surfaces, checks, known issues, renderings, sealed bundles, supervision; and `doctor`."""

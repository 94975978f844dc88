"""A second opinion: what an installed server itself says of a start, without a GPU."""

"""One self-contained HTML page of what a scan or a comparison of checkpoints found."""

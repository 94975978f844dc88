"""Two servers in turn: pairs of runs, and the verdict on them."""

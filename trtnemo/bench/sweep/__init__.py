"""Many loads and recipes: grids, searches within limits, reports."""

"""Converting between the layouts that the family's weights are met in, with no number changed."""

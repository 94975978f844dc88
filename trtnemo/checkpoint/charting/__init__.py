"""What a picture of a checkpoint's weights shows: which tensor stands where, and its values."""

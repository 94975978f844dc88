"""Two checkpoints of one network: which numbers differ, and by how much, however each stores them."""

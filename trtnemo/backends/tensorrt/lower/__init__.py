"""The TensorRT lowering: a graph cut into blocks, each block a network per phase, equal blocks one plan."""

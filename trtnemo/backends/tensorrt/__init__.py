"""TensorRT: a graph lowered to networks, networks compiled to plans, plans executed."""

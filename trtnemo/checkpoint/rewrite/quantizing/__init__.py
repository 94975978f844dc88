"""Quantizing tensor by tensor: the weight of each layer becomes codes and scales."""

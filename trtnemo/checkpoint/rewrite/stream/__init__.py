"""Quantize a checkpoint tensor by tensor, whatever its size: memory stays bounded, and a killed run goes on."""

"""The Mamba-2 mixer between its two projections."""

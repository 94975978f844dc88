"""The routed part of a (latent) mixture of experts."""

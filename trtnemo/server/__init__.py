"""The OpenAI-compatible server."""

from trtnemo.server.serve import serve_engine

__all__ = ["serve_engine"]

"""The page at `/`: a chat, its settings and the running numbers, as static files."""

from trtnemo.front.page.routes import page_routes

__all__ = ["page_routes"]

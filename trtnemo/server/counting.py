"""Requests counted by endpoint and status."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trtnemo.server.metrics import ServerMetrics


class CountRequests:
    """A plain ASGI layer: Starlette's own base class for middleware would hide a client's disconnect from endpoints."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; count when the response starts."""

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Paths that no route knows share one label: clients must not grow the set of series.
                route = getattr(scope.get("route"), "path", None)  # with names in place of what a client chose
                endpoint = route or (scope["path"] if scope.get("endpoint") is not None else "unknown")
                self._metrics.requests.labels(endpoint, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, count if scope["type"] == "http" else send)

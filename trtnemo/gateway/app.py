"""The routes of a gateway: its own health, readiness and metrics; everything else is passed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from trtnemo.front.errors import error_body
from trtnemo.gateway.forward import Forward
from trtnemo.gateway.metrics import GatewayMetrics
from trtnemo.gateway.options import GatewayOptions
from trtnemo.gateway.uniform import texts_of, uniform_metrics
from trtnemo.gateway.upstream import Pool
from trtnemo.gateway.watch import watch

_KEPT_SECONDS = 2.0
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_gateway(
    pool: Pool, options: GatewayOptions, key: str | None, is_draining: Callable[[], bool]
) -> tuple[Starlette, Forward, GatewayMetrics]:
    """Return the application, what passes requests on, and its counters; `key` is what upstreams are given."""
    # servers close idle connections after 5 seconds, and one that is taken at that moment looks like a loss
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=options.most_requests, keepalive_expiry=_KEPT_SECONDS
    )
    client = httpx.AsyncClient(limits=limits, follow_redirects=False, trust_env=False)
    metrics = GatewayMetrics(pool)
    forward = Forward(pool, client, options, metrics, key)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        if pool.is_ready and not is_draining():
            return JSONResponse({"status": "ready"})
        reason = "the gateway is stopping" if is_draining() else pool.reasons
        headers = {"retry-after": "1"}
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503, headers=headers)

    async def told(request: Request) -> Response:
        theirs = await uniform_metrics(pool, client, headers_for(key))
        beside = await texts_of(options.metrics_beside, client)
        return Response(metrics.render() + theirs + beside, media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.ensure_future(watch(pool, client, options, headers_for(key)))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()

    own = {"/health": health, "/ready": ready, "/metrics": told}
    # every method: what is not for GET would else be passed on, and these paths need no key
    routes: list[BaseRoute] = [Route(path, _only_read(answer), methods=_METHODS) for path, answer in own.items()]
    routes.append(Mount("/", forward))
    handlers: dict[Any, Any] = {HTTPException: _refuse, ClientDisconnect: _left}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), forward, metrics


def _only_read(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def checked(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, "this is the gateway's own, and is only read", {"allow": "GET, HEAD"})
        return await answer(request)

    return checked


def headers_for(key: str | None) -> dict[str, str]:
    """Return what upstreams are sent so that they take a request for the gateway's own."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


async def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse(error_body(str(detail), status), status_code=status, headers=headers)


async def _left(request: Request, error: Exception) -> Response:
    """Answer nobody."""
    return Response(status_code=499)

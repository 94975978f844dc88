"""The HTTP application: routes, error shapes, streaming, disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from trtnemo import __version__
from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.front.errors import error_body, shortened
from trtnemo.front.page import page_routes
from trtnemo.server.anthropic.routes import messages_router
from trtnemo.server.chat import ChatCall
from trtnemo.server.completions import CompletionCall
from trtnemo.server.context import ServerContext
from trtnemo.server.counting import CountRequests
from trtnemo.server.exchange import answer, prepare, told
from trtnemo.server.failure import error_response
from trtnemo.server.openapi import encoded_document
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.body import parse_body
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.server.responses.routes import responses_router

METHODS = ("DELETE", "GET", "HEAD", "POST")
Supervise = Callable[[], Awaitable[None]]


def create_app(context: ServerContext, supervise: Supervise | None = None) -> FastAPI:
    """Return the application that serves one engine; `supervise` runs as long as it does."""
    app = FastAPI(
        title="trtnemo", version=__version__, openapi_url=None, redirect_slashes=False, lifespan=_lifespan(supervise)
    )
    app.add_exception_handler(TrtnemoError, _handle_trtnemo_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(ClientDisconnect, _handle_leaving)
    app.add_exception_handler(RequestValidationError, _handle_bad_query)
    app.add_exception_handler(Exception, _handle_defect)

    app.add_middleware(CountRequests, metrics=context.metrics)
    app.router.routes.extend(page_routes())

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        context.admission.require()  # before a long body is read, and a long prompt rendered, for nothing

        def make(reading: Reading) -> CompletionCall:
            return CompletionCall(context, parse_body(reading.rest, CompletionRequest)[0], reading)

        call = await prepare(context, request, "completion", make)
        return await answer(context, request, call, call.request.stream)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        context.admission.require()

        def make(reading: Reading) -> ChatCall:
            return ChatCall(context, parse_body(reading.rest, ChatRequest)[0], reading)

        call = await prepare(context, request, "chat", make)
        return await answer(context, request, call, call.request.stream)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(context, name) for name in context.model_names]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        return _model(context, context.check_model(name))

    @app.post("/v1/embeddings")
    async def embeddings() -> Response:
        raise RequestError("this server generates text, and has no embeddings; a model for them needs another server")

    @app.get("/health")
    async def health() -> Response:
        found = context.client.health
        if found.is_up:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "down", "reason": found.reason}, status_code=503)

    @app.get("/ready")
    async def ready() -> Response:
        found = context.client.health
        if found.is_up and not context.is_draining():
            return JSONResponse({"status": "ready"})
        reason = found.reason if not found.is_up else "the server is stopping"
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    @app.get("/openapi.json")
    async def document() -> Response:
        return Response(encoded_document(), media_type="application/json")

    @app.get("/version")
    async def served_version() -> dict[str, str]:
        return {"version": __version__, "software": "trtnemo", **context.identity}

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(context.metrics.render(), media_type="text/plain; version=0.0.4")

    @app.post("/tokenize")
    async def tokenize(request: Request) -> Response:
        return await prepare(context, request, "tokenize", lambda reading: told(context, reading))

    @app.post("/detokenize")
    async def detokenize(request: Request) -> Response:
        return await prepare(context, request, "detokenize", lambda reading: told(context, reading))

    app.include_router(responses_router(context, context.responses))
    app.include_router(messages_router(context))
    return app


def _model(context: ServerContext, name: str) -> dict[str, Any]:
    length = context.client.budget.max_seq_len
    common = {"object": "model", "created": context.started, "owned_by": "trtnemo", "max_model_len": length}
    return {"id": name, **common}


def _lifespan(supervise: Supervise | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.ensure_future(supervise()) if supervise is not None else None
        yield
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return lifespan


async def _handle_trtnemo_error(request: Request, error: Exception) -> Response:
    return error_response(error if isinstance(error, TrtnemoError) else TrtnemoError(str(error)))


async def _handle_defect(request: Request, error: Exception) -> Response:
    """Answer a defect of ours in OpenAI's shape; the traceback goes to the log, not to the client."""
    return JSONResponse(
        error_body("the server has a defect; its log says more", 500, "internal_error"), status_code=500
    )


async def _handle_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 405:
        headers = {"allow": ", ".join(_methods_of(request))}
    message = f"{request.method} {shortened(request.url.path)}: {detail}"
    code = "body_too_large" if status == 413 else None
    return JSONResponse(error_body(message, status, code), status_code=status, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Return the methods that the path of a request has; the router names those of its first route alone."""
    asked = ({**request.scope, "method": method} for method in METHODS)
    is_match = (any(route.matches(scope)[0] == Match.FULL for route in request.app.routes) for scope in asked)
    return [method for method, matches in zip(METHODS, is_match, strict=True) if matches]


async def _handle_bad_query(request: Request, error: Exception) -> Response:
    """Refuse a value in an address that is of another type."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    name = str(first["loc"][-1]) if first["loc"] else None
    return JSONResponse(error_body(f"'{name}': {first['msg']}", 400, None, name), status_code=400)


async def _handle_leaving(request: Request, error: Exception) -> Response:
    """Answer nobody: the client left while it sent its body."""
    return Response(status_code=499)

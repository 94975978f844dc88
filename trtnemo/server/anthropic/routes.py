"""Routes of the Messages API; its failures have a shape of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.server.anthropic.call import MessagesCall, error_of
from trtnemo.server.anthropic.request import MessagesRequest
from trtnemo.server.context import ServerContext
from trtnemo.server.exchange import answer, named_events, read_body
from trtnemo.server.failure import explain, retry_header
from trtnemo.server.requests.chat import ChatRequest


class _MessagesRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except TrtnemoError as error:
                status = error.status if isinstance(error, RequestError) else 500
                body = error_of(error.render(), status)
                return JSONResponse(body, status_code=status, headers=retry_header(status))
            except HTTPException as error:
                return JSONResponse(error_of(str(error.detail), error.status_code), status_code=error.status_code)

        return handled


def messages_router(context: ServerContext) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(route_class=_MessagesRoute)

    @router.post("/v1/messages")
    async def create(request: Request) -> Response:
        context.admission.require()
        body = await read_body(request, MessagesRequest)
        if body.max_tokens is None:
            raise RequestError("'max_tokens': Field required", parameter="max_tokens")
        call = await asyncio.to_thread(_call, context, body)
        return await answer(context, request, call, body.stream, named_events)

    @router.post("/v1/messages/count_tokens")
    async def count(request: Request) -> dict[str, Any]:
        body = await read_body(request, MessagesRequest)
        body = body.model_copy(update={"max_tokens": None})
        call = await asyncio.to_thread(_call, context, body)
        return {"input_tokens": len(call.chat.prompt)}

    return router


def _call(context: ServerContext, body: MessagesRequest) -> MessagesCall:
    return MessagesCall(context, _chat_request(body))


def _chat_request(body: MessagesRequest) -> ChatRequest:
    try:
        return body.chat_request()
    except ValidationError as error:
        raise explain(error, list(type(body).model_fields)) from None

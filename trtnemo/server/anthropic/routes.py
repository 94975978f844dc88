"""Routes of the Messages API; its failures have a shape of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.server.anthropic.call import MessagesCall, error_of
from trtnemo.server.anthropic.request import MessagesRequest
from trtnemo.server.context import ServerContext
from trtnemo.server.exchange import answer, named_events, prepare, told
from trtnemo.server.failure import retry_header
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.body import parse_body


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
                body = error_of(str(error.detail), error.status_code)
                return JSONResponse(body, status_code=error.status_code, headers=error.headers)

        return handled


def messages_router(context: ServerContext) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter(route_class=_MessagesRoute)

    @router.post("/v1/messages")
    async def create(request: Request) -> Response:
        context.admission.require()

        def make(reading: Reading) -> MessagesCall:
            body, _ = parse_body(reading.rest, MessagesRequest)
            if body.max_tokens is None:
                raise RequestError("'max_tokens': Field required", parameter="max_tokens")
            return MessagesCall(context, body, reading)

        call = await prepare(context, request, "messages", make)
        return await answer(context, request, call, call.is_stream, named_events)

    @router.post("/v1/messages/count_tokens")
    async def count(request: Request) -> Response:
        return await prepare(context, request, "count", lambda reading: told(context, reading))

    return router

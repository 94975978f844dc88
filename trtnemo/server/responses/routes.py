"""Routes of the Responses API."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.front.meter import hold
from trtnemo.server.context import ServerContext
from trtnemo.server.exchange import admit, answer, named_events, prepare
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.body import parse_body
from trtnemo.server.responses.call import ResponsesCall
from trtnemo.server.responses.listing import page_of
from trtnemo.server.responses.request import ResponsesRequest
from trtnemo.server.responses.store import ResponseStore, Stored


def responses_router(context: ServerContext, store: ResponseStore) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter()
    running: set[asyncio.Task[None]] = set()

    @router.post("/v1/responses")
    async def create(request: Request) -> Response:
        context.admission.require()
        owner = _owner(request)

        def make(reading: Reading) -> tuple[ResponsesCall, Stored]:
            call = ResponsesCall(context, _checked(reading.rest, store), reading)
            return call, Stored(owner, call.render, reading.items, reading.messages)

        def earlier(name: str) -> bytes:
            return store.get(name, owner, "previous_response_id").conversation()

        call, stored = await prepare(context, request, "response", make, earlier)
        body = call.request
        call.settle = lambda: store.settle(call.id, call.render())
        if body.background:
            return await _in_background(context, store, call, stored, running)
        if body.store:
            store.put(call.id, stored)  # from now on: its stream tells the id
        try:
            return await answer(context, request, call, body.stream, named_events)
        except BaseException:  # nobody was told of it
            store.forget(call.id)
            raise

    @router.get("/v1/responses/{response_id}")
    async def get(request: Request, response_id: str, stream: bool = False) -> Response:
        if stream:
            raise RequestError("a response that is kept is not streamed again", parameter="stream")
        return JSONResponse(store.get(response_id, _owner(request)).response())

    @router.delete("/v1/responses/{response_id}")
    async def delete(request: Request, response_id: str) -> Response:
        store.delete(response_id, _owner(request))
        return JSONResponse({"id": response_id, "object": "response.deleted", "deleted": True})

    @router.post("/v1/responses/{response_id}/cancel")
    async def cancel(request: Request, response_id: str) -> Response:
        stored = store.get(response_id, _owner(request))
        if stored.cancel is None:
            raise RequestError("only a response that runs in the background can be cancelled", parameter="response_id")
        stored.cancel()
        return JSONResponse(stored.response())

    @router.get("/v1/responses/{response_id}/input_items")
    async def input_items(
        request: Request, response_id: str, limit: int = 20, order: str = "desc", after: str | None = None
    ) -> Response:
        return JSONResponse(page_of(store.get(response_id, _owner(request)).items, limit, order, after))

    return router


def _owner(request: Request) -> str:
    return str(request.scope.get("state", {}).get("key", "-"))


def _checked(rest: bytes, store: ResponseStore) -> ResponsesRequest:
    body, _ = parse_body(rest, ResponsesRequest)
    if body.background and body.stream:
        raise RequestError("a response in the background is not streamed; ask for it by its id", parameter="background")
    if body.background and not (body.store and store.is_on):
        raise RequestError("a response in the background has to be stored", parameter="background")
    return body


async def _in_background(
    context: ServerContext, store: ResponseStore, call: ResponsesCall, stored: Stored, running: set[asyncio.Task[None]]
) -> Response:
    places = await admit(context, call)
    let_go = hold()

    async def run() -> None:
        try:
            await call.run()
        except (TrtnemoError, asyncio.CancelledError):
            return  # the call says so itself
        finally:
            places.give_back()
            let_go()

    task = asyncio.ensure_future(run())
    running.add(task)
    task.add_done_callback(running.discard)

    def cancel() -> None:
        call.is_cancelled = call.over is None
        task.cancel()

    stored.cancel = cancel
    store.put(call.id, stored)
    return JSONResponse(call.render())

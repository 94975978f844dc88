"""Routes of the Responses API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.front.meter import hold
from trtnemo.server.context import ServerContext
from trtnemo.server.exchange import admit, answer, named_events, read_body
from trtnemo.server.failure import explain
from trtnemo.server.responses.call import ResponsesCall
from trtnemo.server.responses.items import Item, items_of, messages_of
from trtnemo.server.responses.request import ResponsesRequest
from trtnemo.server.responses.store import ResponseStore, Stored


def responses_router(context: ServerContext, store: ResponseStore) -> APIRouter:
    """Return the routes of one server."""
    router = APIRouter()
    running: set[asyncio.Task[None]] = set()

    @router.post("/v1/responses")
    async def create(request: Request) -> Response:
        context.admission.require()
        body = await read_body(request, ResponsesRequest)
        owner, items = _owner(request), items_of(body.input)
        call = await asyncio.to_thread(_call, context, store, body, items, owner)
        stored = Stored(owner, call.render, items, call.messages)
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
        named = _named(store.get(response_id, _owner(request)).items)
        return JSONResponse(_page(named, limit, order, after))

    return router


def _owner(request: Request) -> str:
    return str(request.scope.get("state", {}).get("key", "-"))


def _call(
    context: ServerContext, store: ResponseStore, body: ResponsesRequest, items: list[Item], owner: str
) -> ResponsesCall:
    if body.background and body.stream:
        raise RequestError("a response in the background is not streamed; ask for it by its id", parameter="background")
    if body.background and not (body.store and store.is_on):
        raise RequestError("a response in the background has to be stored", parameter="background")
    earlier: list[Item] = []
    if body.previous_response_id is not None:
        found = store.get(body.previous_response_id, owner)
        earlier = [*found.messages, *messages_of(found.response()["output"])]
    messages = [*earlier, *messages_of(items)]
    said = [{"role": "system", "content": body.instructions}] if body.instructions else []
    try:
        call = ResponsesCall(context, body, [*said, *messages])
    except ValidationError as error:
        raise explain(error, list(type(body).model_fields)) from None
    call.messages = messages  # a later response has instructions of its own
    return call


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


def _named(items: Sequence[Item]) -> list[Item]:
    """Return items with ids, and texts as parts, as the API lists them."""
    found = []
    for number, item in enumerate(items):
        named = {"id": f"item_{number}", "type": "message", **item}
        if named["type"] == "message" and isinstance(named.get("content"), str):
            kind = "output_text" if named.get("role") == "assistant" else "input_text"
            named["content"] = [{"type": kind, "text": named["content"]}]
        found.append(named)
    return found


def _page(items: list[Item], limit: int, order: str, after: str | None) -> dict[str, Any]:
    if not 1 <= limit <= 100 or order not in ("asc", "desc"):
        raise RequestError("'limit' is 1 to 100, and 'order' is asc or desc", parameter="limit")
    ordered = items if order == "asc" else items[::-1]
    ids = [item["id"] for item in ordered]
    if after is not None and after not in ids:
        raise RequestError("'after' names no item of this response", parameter="after")
    start = 0 if after is None else ids.index(after) + 1
    page = ordered[start : start + limit]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": start + limit < len(ordered)}

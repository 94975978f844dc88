"""Bodies in, answers out: what all generating endpoints do alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.front.errors import error_body
from trtnemo.server.admission import EventStream, Places
from trtnemo.server.answer.collect import Job
from trtnemo.server.context import ServerContext
from trtnemo.server.failure import explain
from trtnemo.server.requests.chat import MOST_MESSAGES
from trtnemo.server.requests.neutral import drop_neutral

LARGE_BODY = 1 << 17
MOST_PARTS = 1 << 16
MOST_ITEMS = {"tools": 256, "prompt": 1024, "stop": 16}
encode_json = msgspec.json.Encoder().encode
Body = TypeVar("Body", bound=BaseModel)
Event = dict[str, Any]


class Call(Protocol):
    """A generating endpoint's call, ready to run: one job for each of its choices."""

    jobs: list[Job]
    grammar: str | None

    async def run(self) -> dict[str, Any]:
        """Return the whole answer."""
        ...

    def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer in chunks."""
        ...


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return the typed body of a request; raises RequestError."""
    content = await request.body()  # the gate bounds it
    try:
        if len(content) > LARGE_BODY:
            _require_few_items(content)
        data = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:  # a lone surrogate is no text in JSON either
        raise RequestError(f"the body is not JSON: {error}") from None
    try:
        return kind.model_validate(drop_neutral(data, kind.model_fields))
    except ValidationError as error:
        raise explain(error, list(kind.model_fields)) from None


def _require_few_items(content: bytes) -> None:
    """Raise RequestError for longer lists than are taken, before one item of them becomes an object."""
    if content.count(b'"type"') > MOST_PARTS:
        raise RequestError(f"the body has more than {MOST_PARTS} parts")
    for name, raw in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items():
        text = bytes(raw).lstrip()
        if name == "logit_bias" and len(text) > LARGE_BODY:
            raise RequestError(f"'{name}' is longer than {LARGE_BODY} bytes", parameter=name)
        # a prompt of token ids is as long as the context, and cheap
        is_ids = name == "prompt" and text[1:].lstrip()[:1].isdigit()
        if text[:1] == b"[" and not is_ids:
            count, most = len(msgspec.json.decode(raw, type=list[msgspec.Raw])), MOST_ITEMS.get(name, MOST_MESSAGES)
            if count > most:
                raise RequestError(f"'{name}': {count} of them exceed {most}", parameter=name)


async def answer(
    context: ServerContext,
    request: Request,
    call: Call,
    stream: bool,
    events: Callable[[ServerContext, Call], AsyncGenerator[bytes, None]] | None = None,
) -> Response:
    """Return the response of a call, streamed by `events` (those of chat by default) or whole; raises RequestError."""
    places = await admit(context, call)
    if stream:
        return EventStream((events or chat_events)(context, call), places, context.comment_seconds)
    try:
        return await whole(request, call.run)
    finally:
        places.give_back()


async def admit(context: ServerContext, call: Call) -> Places:
    """Return a call's places, once its grammar is compiled; raises RequestError, BusyError, EngineError."""
    places = context.admission.take(len(call.jobs))
    try:
        await context.compile(call.grammar)
    except BaseException:
        places.give_back()
        raise
    return places


async def whole(request: Request, run: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
    """Return a whole answer, given up when nobody listens any more."""
    work = asyncio.ensure_future(run())
    watcher = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return Response(status_code=499)
        return Response(encode_json(work.result()), media_type="application/json")
    finally:
        watcher.cancel()
        work.cancel()
        await asyncio.gather(work, watcher, return_exceptions=True)


async def chat_events(context: ServerContext, call: Call) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events; an error after the first byte can only be an event itself."""
    try:
        async with aclosing(call.stream()) as chunks:
            async for chunk in chunks:
                yield b"data: %b\n\n" % encode_json(chunk)
    except TrtnemoError as error:
        context.metrics.stream_failures.inc()
        status, code = (error.status, error.code) if isinstance(error, RequestError) else (500, None)
        yield b"data: %b\n\n" % encode_json(error_body(error.render(), status, code))
    yield b"data: [DONE]\n\n"


async def named_events(context: ServerContext, call: Call) -> AsyncGenerator[bytes, None]:
    """Yield events under their own names, as the APIs have them whose calls tell failures themselves."""
    async with aclosing(call.stream()) as events:
        async for event in events:
            if event["type"] in ("response.failed", "error"):
                context.metrics.stream_failures.inc()
            yield b"event: %b\ndata: %b\n\n" % (event["type"].encode(), encode_json(event))


async def _disconnected(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)

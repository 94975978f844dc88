"""Bodies in, answers out: what all generating endpoints do alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.front.errors import error_body
from trtnemo.front.meter import let_go_of_body
from trtnemo.server.admission import EventStream, Places
from trtnemo.server.answer.collect import Job
from trtnemo.server.context import ServerContext
from trtnemo.server.reading.kinds import READS
from trtnemo.server.reading.reading import Ask, Reading

MOST_READ_HERE = 1 << 18  # bytes; parsers hold the interpreter, and longer bodies have a process of their own
encode_json = msgspec.json.Encoder().encode
Made = TypeVar("Made")
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


async def prepare(
    context: ServerContext,
    request: Request,
    kind: str,
    make: Callable[[Reading], Made],
    earlier: Callable[[str], bytes] | None = None,
) -> Made:
    """Return what `make` makes of a request's body, read as the kind it is; raises RequestError.

    `earlier` returns the JSON of an earlier response's messages, for bodies that go on from one.
    """
    with context.cutting():
        pieces = [piece async for piece in request.stream()]  # the gate bounds them
        before: bytes | None = None
        while True:
            made = await _prepare(context, request, Ask(kind, pieces, before), make)
            if not isinstance(made, Reading):
                let_go_of_body()
                return made
            before = b"[]" if earlier is None else earlier(made.needs or "")


async def _prepare(
    context: ServerContext, request: Request, ask: Ask, make: Callable[[Reading], Made]
) -> Made | Reading:
    """Return what is made of a body, or its reading where that needs an earlier response."""

    def finish(reading: Reading) -> Made | Reading:
        return make(reading) if reading.needs is None else reading

    if context.reader is not None and ask.nbytes > MOST_READ_HERE:
        reading = await while_listened(request, context.reader.read(ask))
        if reading is None:  # nobody waits: the next one has its turn
            raise ClientDisconnect
        return await asyncio.to_thread(finish, reading)
    # a template may take its time, and a long prompt too: neither may hold up the other requests
    return await asyncio.to_thread(lambda: finish(READS[ask.kind](context, b"".join(ask.pieces), ask.earlier)))


def told(context: ServerContext, reading: Reading) -> Response:
    """Return the answer of a body that is read and done with; raises ModelNotFoundError."""
    context.check_model(msgspec.json.decode(reading.rest)["model"])
    return Response(reading.whole, media_type="application/json")


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
    found = await while_listened(request, run())
    if found is None:
        return Response(status_code=499)
    return Response(encode_json(found), media_type="application/json")


async def while_listened(request: Request, awaitable: Awaitable[Made]) -> Made | None:
    """Return what is waited for, or None where the client left before; what it waited for is cancelled then."""
    work = asyncio.ensure_future(awaitable)
    watcher = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
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

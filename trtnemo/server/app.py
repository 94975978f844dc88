"""The HTTP application: routes, error shapes, streaming, disconnects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from trtnemo import __version__
from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.server.admission import EventStream
from trtnemo.server.chat import ChatCall
from trtnemo.server.collect import Job
from trtnemo.server.completions import CompletionCall
from trtnemo.server.context import ServerContext
from trtnemo.server.counting import CountRequests
from trtnemo.server.encoding import encode_within
from trtnemo.server.failure import error_body, error_response, explain
from trtnemo.server.history import render_messages
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.server.requests.neutral import drop_neutral
from trtnemo.server.requests.tokenize import DetokenizeRequest, TokenizeRequest
from trtnemo.server.requests.tools import check_tools

MAXIMUM_BODY = 64 << 20
Body = TypeVar("Body", bound=BaseModel)
Supervise = Callable[[], Awaitable[None]]


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


def create_app(context: ServerContext, supervise: Supervise | None = None) -> FastAPI:
    """Return the application that serves one engine; `supervise` runs as long as it does."""
    app = FastAPI(title="trtnemo", version=__version__, openapi_url=None, lifespan=_lifespan(supervise))
    app.add_exception_handler(TrtnemoError, _handle_trtnemo_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(Exception, _handle_defect)

    app.add_middleware(CountRequests, metrics=context.metrics)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await _read(request, CompletionRequest)
        context.admission.require()
        call = await asyncio.to_thread(CompletionCall, context, body)
        return await _answer(context, request, call, body.stream)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await _read(request, ChatRequest)
        context.admission.require()  # before a long prompt is rendered for nothing
        # A template may take its time, and a long prompt too: neither may hold up the other requests.
        call = await asyncio.to_thread(ChatCall, context, body)
        return await _answer(context, request, call, body.stream)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        length = context.client.budget.max_seq_len
        common = {"object": "model", "created": context.started, "owned_by": "trtnemo", "max_model_len": length}
        return {"object": "list", "data": [{"id": name, **common} for name in context.model_names]}

    @app.get("/health")
    async def health() -> Response:
        found = context.client.health
        if found.is_up:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "down", "reason": found.reason}, status_code=503)

    @app.get("/version")
    async def served_version() -> dict[str, str]:
        return {"version": __version__, "software": "trtnemo", **context.identity}

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(context.metrics.render(), media_type="text/plain; version=0.0.4")

    @app.post("/tokenize")
    async def tokenize(request: Request) -> dict[str, Any]:
        body = await _read(request, TokenizeRequest)
        context.check_model(body.model)
        if (body.prompt is None) == (body.messages is None):
            raise RequestError("give either 'prompt' or 'messages'", parameter="prompt")
        text = body.prompt
        if text is None:
            check_tools(body.tools)
            variables = body.chat_template_kwargs
            text = await asyncio.to_thread(
                render_messages,
                context,
                body.messages or [],
                variables,
                body.tools,
                opens_answer=body.add_generation_prompt,
                continues=body.continue_final_message,
            )
        tokens = await asyncio.to_thread(encode_within, context, text)
        found = {"count": len(tokens), "max_model_len": context.client.budget.max_seq_len, "tokens": tokens}
        if body.return_token_strs:
            found["token_strs"] = [context.tokenizer.token_text(token) for token in tokens]
        return found

    @app.post("/detokenize")
    async def detokenize(request: Request) -> dict[str, Any]:
        body = await _read(request, DetokenizeRequest)
        context.check_model(body.model)
        size = context.client.budget.vocab_size
        if any(token >= size for token in body.tokens):
            raise RequestError(f"a token id is outside the vocabulary of {size}", parameter="tokens")
        return {"prompt": context.tokenizer.decode(body.tokens, skip_special_tokens=False)}

    return app


def _lifespan(
    supervise: Callable[[], Awaitable[None]] | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
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
    message = f"{request.method} {request.url.path}: {error.detail if isinstance(error, HTTPException) else error}"
    return JSONResponse(error_body(message, status), status_code=status)


async def _read(request: Request, kind: type[Body]) -> Body:
    """Return the typed body of a request; raises RequestError."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAXIMUM_BODY:
            raise RequestError(f"the body exceeds {MAXIMUM_BODY} bytes")
        chunks.append(chunk)
    try:
        data = json.loads(b"".join(chunks), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    try:
        return kind.model_validate(drop_neutral(data, kind.model_fields))
    except ValidationError as error:
        raise explain(error, list(kind.model_fields)) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


async def _answer(context: ServerContext, request: Request, call: Call, stream: bool) -> Response:
    places = context.admission.take(len(call.jobs))
    try:
        await context.compile(call.grammar)
    except BaseException:
        places.give_back()
        raise
    if stream:
        return EventStream(_events(call), places)
    try:
        return await _whole(request, call)
    finally:
        places.give_back()


async def _whole(request: Request, call: Call) -> Response:
    work = asyncio.ensure_future(call.run())
    watcher = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return Response(status_code=499)  # nobody listens any more
        return JSONResponse(work.result())
    finally:
        watcher.cancel()
        work.cancel()
        await asyncio.gather(work, watcher, return_exceptions=True)


async def _events(call: Call) -> AsyncGenerator[str, None]:
    """Yield server-sent events; an error after the first byte can only be an event itself."""
    try:
        async with aclosing(call.stream()) as chunks:
            async for chunk in chunks:
                yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    except TrtnemoError as error:
        status, code = (error.status, error.code) if isinstance(error, RequestError) else (500, None)
        yield f"data: {json.dumps(error_body(error.render(), status, code))}\n\n"
    yield "data: [DONE]\n\n"


async def _disconnected(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)

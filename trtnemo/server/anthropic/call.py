"""One message: its object, and the events that tell how it comes about."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.formats.format import CallBegun, CallGrown, CallPart, ToolCall
from trtnemo.server.answer.stretches import Begun, Ended, Grown, Over, stretches_of
from trtnemo.server.answer.usage import Usage
from trtnemo.server.anthropic.request import MessagesRequest
from trtnemo.server.chat import ChatCall
from trtnemo.server.context import ServerContext
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.body import refusing

Event = dict[str, Any]
KINDS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}


def error_of(message: str, status: int) -> Event:
    """Return a failure in the shape that Anthropic's clients expect."""
    kind = "overloaded_error" if status == 503 else KINDS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


class MessagesCall:
    """One call of the endpoint, checked and ready to run."""

    def __init__(self, context: ServerContext, request: MessagesRequest, reading: Reading) -> None:
        chat = refusing(MessagesRequest, request.chat_request)
        self.chat, self.is_stream = ChatCall(context, chat, reading, is_bounded=False), request.stream
        self.jobs, self.grammar = self.chat.jobs, self.chat.grammar
        self.id = f"msg_{uuid.uuid4().hex}"
        self.blocks: list[Event] = []
        self._open: Event = {}

    async def run(self) -> Event:
        """Return the whole message; raises EngineError."""
        over: Over | None = None
        async with aclosing(stretches_of(self.chat)) as stretches:
            async for stretch in stretches:
                if isinstance(stretch, Ended):
                    self.blocks.append(_block(stretch.kind, stretch.text))
                elif isinstance(stretch, ToolCall):
                    self.blocks.append(_tool_use(stretch))
                elif isinstance(stretch, Over):
                    over = stretch
        return {**self._head(over), "content": self.blocks, **self._stop(over)}

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Yield the events; a failure is the last one."""
        yield {"type": "message_start", "message": {**self._head(None), "content": [], **self._stop(None)}}
        yield {"type": "ping"}
        try:
            async with aclosing(stretches_of(self.chat)) as stretches:
                async for stretch in stretches:
                    if isinstance(stretch, Over):
                        yield {"type": "message_delta", "delta": self._stop(stretch), "usage": self._usage(stretch)}
                        yield {"type": "message_stop"}
                    else:
                        for event in self._events(stretch):
                            yield event
        except TrtnemoError as error:
            yield error_of(error.render(), error.status if isinstance(error, RequestError) else 500)

    def _events(self, stretch: Begun | Grown | Ended | CallPart) -> Iterator[Event]:
        index = len(self.blocks)
        if isinstance(stretch, Begun):
            yield {"type": "content_block_start", "index": index, "content_block": _block(stretch.kind, "")}
        elif isinstance(stretch, Grown):
            name = "thinking" if stretch.kind == "reasoning" else "text"
            yield _delta(index, {"type": f"{name}_delta", name: stretch.text})
        elif isinstance(stretch, Ended):
            if stretch.kind == "reasoning":
                yield _delta(index, {"type": "signature_delta", "signature": SIGNATURE})
            self.blocks.append(_block(stretch.kind, stretch.text))
            yield {"type": "content_block_stop", "index": index}
        elif isinstance(stretch, CallBegun):
            self._open = _tool_use(ToolCall(stretch.name, {}))
            yield {"type": "content_block_start", "index": index, "content_block": self._open}
        elif isinstance(stretch, CallGrown):
            yield _delta(index, {"type": "input_json_delta", "partial_json": stretch.text})
        else:
            self.blocks.append({**self._open, "input": stretch.arguments})
            yield {"type": "content_block_stop", "index": index}

    def _head(self, over: Over | None) -> Event:
        usage = self._usage(over)
        return {"id": self.id, "type": "message", "role": "assistant", "model": self.chat.model, "usage": usage}

    def _usage(self, over: Over | None) -> Event:
        counts = [over.counts] if over is not None else []
        usage = Usage([self.chat.prompt], counts).render()
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage["completion_tokens"],
        }

    def _stop(self, over: Over | None) -> Event:
        if over is None:
            return {"stop_reason": None, "stop_sequence": None}
        has_calls = any(block["type"] == "tool_use" for block in self.blocks)
        if over.reason == "length":
            reason = "max_tokens"
        elif over.stop is not None:
            reason = "stop_sequence"
        else:
            reason = "tool_use" if has_calls else "end_turn"
        return {"stop_reason": reason, "stop_sequence": over.stop}


# thoughts come back in the next request, and nothing needs to be proven of them
SIGNATURE = "trtnemo"


def _block(kind: str, text: str) -> Event:
    if kind == "reasoning":
        return {"type": "thinking", "thinking": text, "signature": SIGNATURE if text else ""}
    return {"type": "text", "text": text}


def _tool_use(call: ToolCall) -> Event:
    return {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": call.name, "input": call.arguments}


def _delta(index: int, delta: Event) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": delta}

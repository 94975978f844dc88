"""One response: its object, and the events that tell how it comes about."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from trtnemo.errors import RequestError, TrtnemoError
from trtnemo.formats.format import CallBegun, CallGrown, CallPart, ToolCall
from trtnemo.server.answer.stretches import Begun, Ended, Grown, Over, stretches_of
from trtnemo.server.answer.usage import Usage
from trtnemo.server.chat import ChatCall
from trtnemo.server.context import ServerContext
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.body import refusing
from trtnemo.server.responses.items import Item, call_item, message_item, reasoning_item, text_part
from trtnemo.server.responses.request import ResponsesRequest

Event = dict[str, Any]


class ResponsesCall:
    """One call of the endpoint, checked and ready to run."""

    def __init__(self, context: ServerContext, request: ResponsesRequest, reading: Reading) -> None:
        if request.top_logprobs:
            raise RequestError("'top_logprobs' is for /v1/chat/completions", parameter="top_logprobs")
        chat = refusing(ResponsesRequest, lambda: request.chat_request([{"role": "user", "content": ""}]))
        self.chat = ChatCall(context, chat, reading, is_bounded=False)
        self.jobs, self.grammar = self.chat.jobs, self.chat.grammar
        self.request = request
        self.id = f"resp_{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.output: list[Item] = []
        self.over: Over | None = None
        self.error: Item | None = None
        self.is_cancelled = False
        self.settle: Callable[[], None] = lambda: None  # called once, when nothing more will come
        self._completed: int | None = None
        self._sequence = -1
        self._open: Item = {}

    async def run(self) -> Item:
        """Return the whole response; raises EngineError."""
        try:
            async with aclosing(self._events()) as events:
                async for _ in events:
                    pass
            return self.render()
        except TrtnemoError as error:
            self.error = {"code": "server_error", "message": error.render()}
            raise
        finally:
            self._finish()

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Yield the events; a failure is the last one."""
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    yield event
        except TrtnemoError as error:
            self.error = {"code": "server_error", "message": error.render()}
            yield self._event("response.failed", response=self.render())
        finally:
            self._finish()

    def _finish(self) -> None:
        """Note an answer that nobody waited for, and have the response kept as it is now."""
        self.is_cancelled = self.is_cancelled or (self.over is None and self.error is None)
        self.settle()

    async def _events(self) -> AsyncGenerator[Event, None]:
        yield self._event("response.created", response=self.render())
        yield self._event("response.in_progress", response=self.render())
        item_id = ""
        async with aclosing(stretches_of(self.chat)) as stretches:
            async for stretch in stretches:
                if isinstance(stretch, Begun):
                    item_id = f"{'rs' if stretch.kind == 'reasoning' else 'msg'}_{uuid.uuid4().hex}"
                    events = self._begin(stretch, item_id)
                elif isinstance(stretch, Grown):
                    events = self._grow(stretch, item_id)
                elif isinstance(stretch, Ended):
                    events = self._end(stretch, item_id)
                elif isinstance(stretch, Over):
                    self.over, self._completed = stretch, int(time.time())
                    events = iter(())
                else:
                    events = self._call(stretch)
                for event in events:
                    yield event
        kind = "response.completed" if self._status == "completed" else "response.incomplete"
        yield self._event(kind, response=self.render())

    def _begin(self, stretch: Begun, item_id: str) -> Iterator[Event]:
        is_thinking = stretch.kind == "reasoning"
        item = reasoning_item("", item_id) if is_thinking else message_item(None, item_id)
        yield self._event(
            "response.output_item.added", item={**item, "status": "in_progress"}, output_index=self._index
        )
        part: Item = {"type": "reasoning_text", "text": ""} if is_thinking else text_part("")
        yield self._part_event("response.content_part.added", item_id, part=part)

    def _grow(self, stretch: Grown, item_id: str) -> Iterator[Event]:
        if stretch.kind == "reasoning":
            yield self._part_event("response.reasoning_text.delta", item_id, delta=stretch.text)
        else:
            yield self._part_event("response.output_text.delta", item_id, delta=stretch.text, logprobs=[])

    def _end(self, stretch: Ended, item_id: str) -> Iterator[Event]:
        if stretch.kind == "reasoning":
            yield self._part_event("response.reasoning_text.done", item_id, text=stretch.text)
            part: Item = {"type": "reasoning_text", "text": stretch.text}
            item = reasoning_item(stretch.text, item_id)
        else:
            yield self._part_event("response.output_text.done", item_id, text=stretch.text, logprobs=[])
            part, item = text_part(stretch.text), message_item(stretch.text, item_id)
        yield self._part_event("response.content_part.done", item_id, part=part)
        yield from self._done(item)

    def _call(self, part: CallPart) -> Iterator[Event]:
        """Yield the events of a call; a custom tool's text comes whole, when it is over."""
        if isinstance(part, CallBegun):
            self._open = call_item(ToolCall(part.name, {}, ""), is_custom=part.name in self.chat.custom)
            begun = {**self._open, "status": "in_progress"}
            yield self._event("response.output_item.added", item=begun, output_index=self._index)
            return
        is_custom = self._open["type"] == "custom_tool_call"
        field, kind = ("input", "custom_tool_call_input") if is_custom else ("arguments", "function_call_arguments")
        common = {"item_id": self._open["id"], "output_index": self._index}
        if isinstance(part, CallGrown):
            if not is_custom:
                yield self._event(f"response.{kind}.delta", **common, delta=part.text)
            return
        item = {**self._open, field: call_item(part, is_custom=is_custom)[field]}
        if is_custom:
            yield self._event(f"response.{kind}.delta", **common, delta=item[field])
        named = {} if is_custom else {"name": part.name}
        yield self._event(f"response.{kind}.done", **common, **named, **{field: item[field]})
        yield from self._done(item)

    def _done(self, item: Item) -> Iterator[Event]:
        yield self._event("response.output_item.done", item=item, output_index=self._index)
        self.output.append(item)

    @property
    def _index(self) -> int:
        return len(self.output)

    def _part_event(self, kind: str, item_id: str, **more: Any) -> Event:
        return self._event(kind, item_id=item_id, output_index=self._index, content_index=0, **more)

    def _event(self, kind: str, **more: Any) -> Event:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **more}

    @property
    def _status(self) -> str:
        if self.error is not None:
            return "failed"
        if self.is_cancelled:
            return "cancelled"
        if self.over is None:
            return "in_progress"
        return "incomplete" if self.over.reason == "length" else "completed"

    def render(self) -> Item:
        """Return the response object, of what has come so far."""
        request, chat, status = self.request, self.chat, self._status
        details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        params = chat.jobs[0].prompt.params
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": self._completed if status == "completed" else None,
            "status": status,
            "background": request.background,
            "error": self.error,
            "incomplete_details": details,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "model": chat.model,
            "output": list(self.output),
            "parallel_tool_calls": request.parallel_tool_calls,
            "previous_response_id": request.previous_response_id,
            "reasoning": {"effort": request.reasoning and request.reasoning.effort, "summary": None},
            "service_tier": "default",
            "store": request.store,
            "temperature": params.temperature,
            "text": {"format": self._format(), "verbosity": "medium"},
            "tool_choice": request.tool_choice or "auto",
            "tools": [{"strict": None, **tool} if tool.get("type") == "function" else tool for tool in request.tools],
            "top_logprobs": 0,
            "top_p": params.top_p,
            "truncation": request.truncation,
            "usage": self._usage(),
            "user": None,
            "metadata": request.metadata,
        }

    def _format(self) -> Item:
        form = self.request.text.format if self.request.text is not None else None
        return {"type": "text"} if form is None else form.model_dump(exclude_none=True, by_alias=True)

    def _usage(self) -> Item | None:
        if self.over is None:
            return None
        usage = Usage([self.chat.prompt], [self.over.counts]).render()
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": self.over.reasoning_tokens},
            "total_tokens": usage["total_tokens"],
        }

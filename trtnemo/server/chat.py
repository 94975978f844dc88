"""/v1/chat/completions: messages and tools in; thinking, answer and tool calls out."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.messages import ThinkingBudget
from trtnemo.server.answer.collect import Choice, make_jobs, run_all, stream_all
from trtnemo.server.answer.delta import Delta
from trtnemo.server.answer.parts import delta_of, message_of, prompt_scores, score_of
from trtnemo.server.answer.usage import Usage
from trtnemo.server.context import ServerContext
from trtnemo.server.prompt.constraint import calls_of, constraint
from trtnemo.server.prompt.encoding import bad_words
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.tools import schemas_of
from trtnemo.text import AnswerFormat, AnswerParser, ToolCall, read_answer


class ChatCall:
    """One call of the endpoint, checked and ready to run."""

    def __init__(
        self, context: ServerContext, request: ChatRequest, reading: Reading, *, is_bounded: bool = True
    ) -> None:
        """`is_bounded`: what the answer may take has to fit; else it is a wish, cut to what fits."""
        self.is_bounded = is_bounded
        self.context = context
        self.request = request
        self.model = context.check_model(request.model)
        if request.top_logprobs is not None and not request.logprobs:
            raise RequestError("'top_logprobs' needs 'logprobs': true", parameter="top_logprobs")
        tools = [] if request.tool_choice == "none" else request.tools
        reasoning, thinks = context.reasoning, reading.thinks
        many = request.parallel_tool_calls is not False
        calls = calls_of(context.tools, request.tools, request.tool_choice, many=many)
        self.grammar = constraint(request.structure, calls, reasoning if thinks else None)
        self.format = AnswerFormat(
            reasoning=reasoning,
            open_at_start=thinks,
            needs_content=reasoning is not None
            and reasoning.needs_content(request.template_switches(context.template_variables)),
            tools=context.tools if tools else None,
            schemas=schemas_of(tools),
            maximum_calls=None if many else 1,
            calls_end_thinking=self.grammar is None,
        )
        self.custom = frozenset(tool.name for tool in tools if tool.type == "custom")
        (self.prompt,) = reading.prompts
        params = [self._params(number) for number in range(request.n)]
        self.jobs = make_jobs(context.client, [self.prompt], params, self._thinking_budget(), self.grammar)
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def _params(self, number: int) -> SamplingParams:
        request = self.request
        limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
        room = max(1, self.context.client.budget.max_seq_len - len(self.prompt))
        return request.sampling_params(
            self.context.sampling,
            number,
            max_tokens=limit if limit is None or self.is_bounded else min(limit, room),
            logprobs=(request.top_logprobs or 0) if request.logprobs else None,
            bad_words=bad_words(self.context.tokenizer, request.bad_words),
        )

    def _thinking_budget(self) -> ThinkingBudget | None:
        """Return what the request allows for thinking; a prompt that does not think needs no budget."""
        budget, reasoning, tools = self.request.thinking_token_budget, self.context.reasoning, self.context.tools
        if budget is None or reasoning is None or not self.format.open_at_start:
            return None
        end_id = self.context.tokenizer.id_of(reasoning.end_tag)
        if end_id is None:
            raise RequestError(f"this tokenizer has no {reasoning.end_tag} token", parameter="thinking_token_budget")
        call_id = None if tools is None else self.context.tokenizer.id_of(tools.opening[0])
        return ThinkingBudget(budget, end_id, frozenset({end_id} if call_id is None else {end_id, call_id}))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    async def run(self) -> dict[str, Any]:
        """Return the whole answer."""
        choices = await run_all(self.context, self.jobs)
        # scores of a long answer take a while to write
        is_scored = self.request.logprobs or self.request.prompt_logprobs is not None
        return await asyncio.to_thread(self._render, choices) if is_scored else self._render(choices)

    def _render(self, choices: list[Choice]) -> dict[str, Any]:
        return {
            **self._head("chat.completion"),
            "choices": [self._choice(choice) for choice in choices],
            "usage": Usage([self.prompt], [choice.counts for choice in choices]).render(),
            **self._of_prompt(choices[0]),
        }

    def _of_prompt(self, first: Choice) -> dict[str, Any]:
        """Return what is told of the prompt, where it is asked for."""
        told: dict[str, Any] = {"prompt_token_ids": self.prompt} if self.request.return_token_ids else {}
        if self.request.prompt_logprobs is not None:
            scores = prompt_scores(self.context.tokenizer, self.prompt, first.prompt_logprobs)
            told["prompt_logprobs"] = scores
        return told

    def _choice(self, choice: Choice) -> dict[str, Any]:
        answer = read_answer(choice.text, self.format)
        scores = [score_of(self.context.tokenizer, delta.logprob) for delta in choice.deltas if delta.logprob]
        return {
            "index": choice.job.index,
            "message": message_of(answer),
            "logprobs": {"content": scores} if self.request.logprobs else None,
            "finish_reason": _reason(choice.finish_reason, bool(answer.tool_calls)),
            **({"token_ids": choice.token_ids} if self.request.return_token_ids else {}),
        }

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer in chunks."""
        parsers = {job.index: AnswerParser(self.format) for job in self.jobs}
        told = {"prompt_token_ids": self.prompt} if self.request.return_token_ids else {}
        for job in self.jobs:
            yield {**self._chunk(job.index, {"role": "assistant", "content": ""}), **told}
        counted = Usage([self.prompt])
        async with aclosing(stream_all(self.context, self.jobs)) as deltas:
            async for job, delta in deltas:
                counted.add(delta.counts)
                so_far = {"usage": counted.render()} if self.request.counts_always else {}
                for chunk in self._chunks(job.index, delta, parsers[job.index]):
                    yield {**chunk, **so_far}
        if self.request.include_usage:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": counted.render()}

    def _chunks(self, index: int, delta: Delta, parser: AnswerParser) -> list[dict[str, Any]]:
        scores = {"content": [score_of(self.context.tokenizer, delta.logprob)]} if delta.logprob else None
        number = parser.ended
        deltas: list[dict[str, Any]] = []
        for part in (*parser.push(delta.text), *(parser.finish() if delta.finish_reason else ())):
            piece = delta_of(part, number)
            deltas += [piece] if piece is not None else []
            number += isinstance(part, ToolCall)
        tells_tokens = self.request.return_token_ids and delta.token_ids
        if (scores or tells_tokens) and not deltas:
            deltas = [{}]
        chunks = [self._chunk(index, item, None if place else scores) for place, item in enumerate(deltas)]
        if tells_tokens:
            chunks[0]["choices"][0]["token_ids"] = list(delta.token_ids)
        if delta.finish_reason:
            chunks.append(self._chunk(index, {}, None, _reason(delta.finish_reason, parser.calls > 0)))
        return chunks

    def _chunk(
        self, index: int, delta: dict[str, Any], scores: dict[str, Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}


def _reason(reason: str, has_calls: bool) -> str:
    """Return the API's word for an end: one that leaves calls to make is neither stop nor a defect."""
    return "tool_calls" if has_calls and reason == "stop" else reason

"""/v1/chat/completions: messages in, thinking and answer out."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.collect import Choice, make_jobs, run_all, stream_all
from trtnemo.server.context import ServerContext
from trtnemo.server.generation import Delta
from trtnemo.server.parameters import ChatMessage, ChatRequest
from trtnemo.server.usage import usage
from trtnemo.text import ReasoningSplitter, TextTokenizer, ends_in_thinking, split_reasoning


class ChatCall:
    """One call of the endpoint, checked and ready to run."""

    def __init__(self, context: ServerContext, request: ChatRequest) -> None:
        self.context = context
        self.request = request
        self.model = context.check_model(request.model)
        if request.top_logprobs is not None and not request.logprobs:
            raise RequestError("'top_logprobs' needs 'logprobs': true", parameter="top_logprobs")
        text = render_messages(context, request.messages, request.chat_template_kwargs)
        self.starts_thinking = ends_in_thinking(text)
        self.prompt = context.tokenizer.encode(text)
        self.jobs = make_jobs([self.prompt], [self._params(number) for number in range(request.n)])
        for job in self.jobs:
            context.client.check(job.prompt, job.params)
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def _params(self, number: int) -> SamplingParams:
        request = self.request
        limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
        return request.sampling_params(
            self.context.sampling,
            number,
            max_tokens=limit,
            logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        )

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    async def run(self) -> dict[str, Any]:
        """Return the whole answer."""
        choices = await run_all(self.context, self.jobs)
        return {
            **self._head("chat.completion"),
            "choices": [self._choice(choice) for choice in choices],
            "usage": usage([self.prompt], sum(choice.tokens for choice in choices)),
        }

    def _choice(self, choice: Choice) -> dict[str, Any]:
        reasoning, content = "", choice.text
        if self.context.splits_reasoning:
            reasoning, content = split_reasoning(choice.text, self.starts_thinking)
        message = {"role": "assistant", "content": content, **_thoughts(reasoning)}
        scores = [_score(self.context.tokenizer, delta.logprob) for delta in choice.deltas if delta.logprob]
        return {
            "index": choice.job.index,
            "message": message,
            "logprobs": {"content": scores} if self.request.logprobs else None,
            "finish_reason": choice.finish_reason,
        }

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer in chunks."""
        splitters = {job.index: ReasoningSplitter(self.starts_thinking) for job in self.jobs}
        for job in self.jobs:
            yield self._chunk(job.index, {"role": "assistant", "content": ""})
        generated = 0
        async with aclosing(stream_all(self.context, self.jobs)) as deltas:
            async for job, delta in deltas:
                generated += delta.tokens
                for chunk in self._chunks(job.index, delta, splitters[job.index]):
                    yield chunk
        if self.request.include_usage:
            counts = usage([self.prompt], generated)
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": counts}

    def _chunks(self, index: int, delta: Delta, splitter: ReasoningSplitter) -> list[dict[str, Any]]:
        scores = {"content": [_score(self.context.tokenizer, delta.logprob)]} if delta.logprob else None
        if self.context.splits_reasoning:
            pieces = [*splitter.push(delta.text), *(splitter.finish() if delta.finish_reason else ())]
            parts = [_thoughts(p.text) if p.channel == "reasoning" else {"content": p.text} for p in pieces]
        else:
            parts = [{"content": delta.text}] if delta.text else []
        if scores and not parts:
            parts = [{}]
        chunks = [self._chunk(index, part, scores if number == 0 else None) for number, part in enumerate(parts)]
        if delta.finish_reason:
            chunks.append(self._chunk(index, {}, None, delta.finish_reason))
        return chunks

    def _chunk(
        self, index: int, delta: dict[str, Any], scores: dict[str, Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": scores, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}


def render_messages(context: ServerContext, messages: Sequence[ChatMessage], variables: dict[str, Any]) -> str:
    """Return the prompt text of messages; raises RequestError."""
    if context.chat_template is None:
        raise RequestError("this checkpoint has no chat template; use /v1/completions", parameter="messages")
    return context.chat_template.render([_plain(message) for message in messages], variables)


def _plain(message: ChatMessage) -> dict[str, Any]:
    """Return a message as the template expects it: text parts joined, either reasoning spelling accepted."""
    data = message.model_dump(exclude_none=True)
    content = data.get("content", "")
    if isinstance(content, list):
        for part in content:
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise RequestError("content parts other than text are not supported", parameter="messages")
        content = "".join(part["text"] for part in content)
    data["content"] = content
    if "reasoning_content" not in data and isinstance(data.get("reasoning"), str):
        data["reasoning_content"] = data["reasoning"]
    return data


def _thoughts(text: str) -> dict[str, Any]:
    """Return thinking under both names that clients read."""
    return {"reasoning_content": text, "reasoning": text} if text else {}


def _score(tokenizer: TextTokenizer, score: TokenLogprob) -> dict[str, Any]:
    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        text = tokenizer.token_text(token_id)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    return {**entry(score.token_id, score.logprob), "top_logprobs": [entry(*item) for item in score.top]}

"""/v1/completions: text or token ids in, text and scores out."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.answer.collect import Choice, Job, make_jobs, run_all, stream_all
from trtnemo.server.answer.delta import Delta
from trtnemo.server.answer.parts import prompt_scores
from trtnemo.server.answer.usage import Usage
from trtnemo.server.context import ServerContext
from trtnemo.server.prompt.constraint import constraint
from trtnemo.server.prompt.encoding import bad_words
from trtnemo.server.reading.reading import Reading
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.text import TextTokenizer


class CompletionCall:
    """One call of the endpoint, checked and ready to run."""

    def __init__(self, context: ServerContext, request: CompletionRequest, reading: Reading) -> None:
        self.context = context
        self.request = request
        self.model = context.check_model(request.model)
        if request.best_of not in (None, request.n):
            raise RequestError("'best_of' other than n is not supported yet", parameter="best_of")
        context.admission.require_possible(len(reading.packed) * request.n)
        self.grammar = constraint(request.structure, None, None)
        self.prompts = reading.prompts
        params = [self._params(number) for number in range(request.n)]
        self.jobs = make_jobs(context.client, self.prompts, params, grammar=self.grammar)
        self.head: dict[str, Any] = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": self.model,
        }

    def _params(self, number: int) -> SamplingParams:
        request = self.request
        scores = request.logprobs if request.echo else None
        return request.sampling_params(
            self.context.sampling,
            number,
            max_tokens=request.max_tokens,
            logprobs=request.logprobs,
            prompt_logprobs=scores if request.prompt_logprobs is None else request.prompt_logprobs,
            bad_words=bad_words(self.context.tokenizer, request.bad_words),
        )

    async def run(self) -> dict[str, Any]:
        """Return the whole answer."""
        choices = await run_all(self.context, self.jobs)
        # scores of a long answer take a while to write
        is_scored = self.request.logprobs is not None or self.request.prompt_logprobs is not None
        return await asyncio.to_thread(self._render, choices) if is_scored else self._render(choices)

    def _render(self, choices: list[Choice]) -> dict[str, Any]:
        return {
            **self.head,
            "choices": [self._choice(item) for item in choices],
            "usage": Usage(self.prompts, [choice.counts for choice in choices]).render(),
        }

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer in chunks; an echoed prompt is the first, with its scores where they are asked for."""
        offsets = dict.fromkeys((job.index for job in self.jobs), 0)
        waiting = {job.index for job in self.jobs} if self.request.echo else set()
        is_scored = self.request.logprobs is not None
        counted = Usage(self.prompts)
        async with aclosing(stream_all(self.context, self.jobs)) as deltas:
            async for job, delta in deltas:
                counted.add(delta.counts)
                if job.index in waiting and (delta.prompt_logprobs is not None or not is_scored):
                    waiting.remove(job.index)
                    yield {**self._prompt_chunk(job, delta, offsets), **self._so_far(counted)}
                is_told = self.request.return_token_ids and delta.token_ids
                if delta.text or delta.logprob or delta.finish_reason or is_told:
                    yield {**self._chunk(job, delta, offsets), **self._so_far(counted)}
        if self.request.include_usage:
            yield {**self.head, "choices": [], "usage": counted.render()}

    def _so_far(self, counted: Usage) -> dict[str, Any]:
        return {"usage": counted.render()} if self.request.counts_always else {}

    def _prompt_chunk(self, job: Job, delta: Delta, offsets: dict[int, int]) -> dict[str, Any]:
        text = self.context.tokenizer.decode(job.prompt.tokens, False)
        if delta.prompt_logprobs is None:
            offsets[job.index] = len(text)
            return self._one(job, text, None, None)
        scores = _Scores(self.context.tokenizer, 0)
        scores.add_prompt(job.prompt.tokens, delta.prompt_logprobs)
        offsets[job.index] = scores.offset
        return self._one(job, text, scores, None)

    def _chunk(self, job: Job, delta: Delta, offsets: dict[int, int]) -> dict[str, Any]:
        if delta.logprob is None:
            return self._with_tokens(self._one(job, delta.text, None, delta.finish_reason), delta)
        scores = _Scores(self.context.tokenizer, offsets[job.index])
        scores.add(delta.logprob)
        offsets[job.index] = scores.offset
        return self._with_tokens(self._one(job, delta.text, scores, delta.finish_reason), delta)

    def _with_tokens(self, chunk: dict[str, Any], delta: Delta) -> dict[str, Any]:
        if self.request.return_token_ids:
            chunk["choices"][0]["token_ids"] = list(delta.token_ids)
        return chunk

    def _one(self, job: Job, text: str, scores: _Scores | None, reason: str | None) -> dict[str, Any]:
        rendered = scores.render() if scores else None
        choice = {"index": job.index, "text": text, "logprobs": rendered, "finish_reason": reason}
        return {**self.head, "choices": [choice]}

    def _choice(self, choice: Choice) -> dict[str, Any]:
        tokenizer = self.context.tokenizer
        prefix = tokenizer.decode(choice.job.prompt.tokens, False) if self.request.echo else ""
        scores = None
        if self.request.logprobs is not None:
            scores = _Scores(tokenizer, 0)
            if self.request.echo:
                scores.add_prompt(choice.job.prompt.tokens, choice.prompt_logprobs or ())
            for delta in choice.deltas:
                if delta.logprob is not None:
                    scores.add(delta.logprob)
        return {
            "index": choice.job.index,
            "text": prefix + choice.text,
            "logprobs": scores.render() if scores else None,
            "finish_reason": choice.finish_reason,
            **self._of_tokens(choice),
        }

    def _of_tokens(self, choice: Choice) -> dict[str, Any]:
        """Return a choice's token ids and its prompt's scores, where they are asked for."""
        told: dict[str, Any] = {}
        prompt = choice.job.prompt.tokens
        if self.request.return_token_ids:
            told |= {"token_ids": choice.token_ids, "prompt_token_ids": list(prompt)}
        if self.request.prompt_logprobs is not None:
            told["prompt_logprobs"] = prompt_scores(self.context.tokenizer, prompt, choice.prompt_logprobs)
        return told


class _Scores:
    """The `logprobs` object of the completions API."""

    def __init__(self, tokenizer: TextTokenizer, offset: int) -> None:
        self.offset = offset
        self._tokenizer = tokenizer
        self._tokens: list[str] = []
        self._logprobs: list[float | None] = []
        self._top: list[dict[str, float] | None] = []
        self._offsets: list[int] = []

    def add(self, score: TokenLogprob | None, token_id: int = 0) -> None:
        """Append a token; the first of a prompt has no score."""
        text = self._tokenizer.token_text(score.token_id if score else token_id)
        self._tokens.append(text)
        self._logprobs.append(score.logprob if score else None)
        self._top.append(_top(self._tokenizer, score) if score else None)
        self._offsets.append(self.offset)
        self.offset += len(text)

    def add_prompt(self, prompt: Sequence[int], scores: Sequence[TokenLogprob | None]) -> None:
        """Append a prompt's tokens."""
        for token_id, score in zip(prompt, scores, strict=True):
            self.add(score, token_id)

    def render(self) -> dict[str, Any]:
        """Return the object."""
        return {
            "tokens": self._tokens,
            "token_logprobs": self._logprobs,
            "top_logprobs": self._top,
            "text_offset": self._offsets,
        }


def _top(tokenizer: TextTokenizer, score: TokenLogprob) -> dict[str, float]:
    """Return alternatives by text; of two tokens with one text the likelier one counts. The chosen one is included."""
    result: dict[str, float] = {}
    for token_id, logprob in (*score.top, (score.token_id, score.logprob)):
        result.setdefault(tokenizer.token_text(token_id), logprob)
    return result

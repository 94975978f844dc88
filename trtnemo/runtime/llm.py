"""`LLM(engine).generate(prompts, SamplingParams)`, as in TensorRT-LLM's LLM API."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trtnemo.engine import Engine
from trtnemo.runtime.checked_prompt import CheckedPrompt
from trtnemo.runtime.client import client_over, iterate
from trtnemo.runtime.load import load_compiler, load_executor, load_tokenizer, loop_options
from trtnemo.runtime.messages import Finished, PromptScored, TokenGenerated
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.runtime.sampling_params import SamplingParams

Prompt = str | Sequence[int]


@dataclass(frozen=True)
class RequestOutput:
    """What one prompt gave; drafted and accepted count drafts, verifications the steps that read them."""

    prompt_token_ids: list[int]
    token_ids: list[int]
    text: str
    finish_reason: str
    logprobs: list[TokenLogprob] | None
    prompt_logprobs: list[TokenLogprob | None] | None
    drafted: int = 0
    accepted: int = 0
    verifications: int = 0


class LLM:
    """An engine ready to generate, in this process.

    `interpret` runs TensorRT plans layer by layer on the CPU. Raises EngineError on a damaged engine, MachineError when
    this machine cannot run it.
    """

    def __init__(self, engine: str | Path | Engine, *, interpret: bool = False) -> None:
        opened = engine if isinstance(engine, Engine) else Engine.open(Path(engine))
        self.tokenizer = load_tokenizer(opened)
        executor = load_executor(opened, interpret=interpret)
        self._client = client_over(executor, self.tokenizer.stop_token_ids, loop_options(opened), load_compiler(opened))
        # also at the interpreter's end, without a `with` block: the loop's thread would outlive the executor
        self._finalizer = weakref.finalize(self, self._client.close)

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Stop the engine loop; a second call does nothing."""
        self._finalizer()

    def generate(
        self, prompts: Prompt | Sequence[Prompt], params: SamplingParams | Sequence[SamplingParams] | None = None
    ) -> list[RequestOutput]:
        """Return one output per prompt, in order; prompts run together. Raises RequestError."""
        batch = _as_batch(prompts)
        chosen = [params or SamplingParams()] * len(batch) if not isinstance(params, Sequence) else list(params)
        encoded = [self.tokenizer.encode(item) if isinstance(item, str) else list(item) for item in batch]
        checked = [self._client.check(prompt, item) for prompt, item in zip(encoded, chosen, strict=True)]
        with ThreadPoolExecutor(max_workers=max(1, min(len(batch), 64))) as pool:
            return list(pool.map(self._generate_one, checked))

    def _generate_one(self, prompt: CheckedPrompt) -> RequestOutput:
        params = prompt.params
        stream = prompt.text_stream(self.tokenizer)
        text, reason, drafted, accepted, verifications = "", "stop", 0, 0, 0
        ids: list[int] = []
        logprobs: list[TokenLogprob] = []
        scored: list[TokenLogprob | None] | None = None
        for event in iterate(self._client, prompt):
            if isinstance(event, PromptScored):
                scored = list(event.logprobs)
            elif isinstance(event, TokenGenerated):
                ids.append(event.token_id)
                drafted, accepted = drafted + event.drafted, accepted + event.accepted
                verifications += event.drafted > 0
                logprobs += [event.logprob] if event.logprob else []
                text += stream.push(event.token_id)
                if stream.hit_stop:
                    break
            elif isinstance(event, Finished):
                reason = event.reason
        text += stream.finish()
        kept = logprobs if params.logprobs is not None else None
        return RequestOutput(list(prompt.tokens), ids, text, reason, kept, scored, drafted, accepted, verifications)


def _as_batch(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    if isinstance(prompts, str):
        return [prompts]
    items = list(prompts)
    if items and all(isinstance(item, int) for item in items):
        return [items]  # type: ignore[list-item]
    return items  # type: ignore[return-value]

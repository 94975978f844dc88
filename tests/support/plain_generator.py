"""A load generator that is there at once, for tests of what is done with runs: guidellm takes seconds for each."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from trtnemo.bench.load.generator import Generator
from trtnemo.bench.load.prompts import Prompt
from trtnemo.bench.load.record import RequestRecord
from trtnemo.bench.load.shape import LoadShape


class PlainGenerator(Generator):
    """Sends the prompts of a chat load one after the other, whatever the load says of concurrency."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "plain"

    def run(self, shape: LoadShape, prompts: list[Prompt], url: str, model: str) -> list[RequestRecord]:
        """Return what became of each request."""
        assert shape.api == "chat"
        assert shape.prompts != "tools"
        start = time.monotonic()
        with httpx.Client(timeout=60) as client:
            return [_ask(client, f"{url}/v1/chat/completions", _body(shape, prompt, model), number, shape, start)
                    for number, prompt in enumerate(prompts)]  # fmt: skip


def _body(shape: LoadShape, prompt: Prompt, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": prompt.messages, "stream": True, "temperature": shape.temperature}
    body |= {"max_tokens": prompt.output_tokens, "ignore_eos": not shape.ends_free}
    body |= {"stream_options": {"include_usage": True}}
    return body if shape.thinking is None else {**body, "chat_template_kwargs": {"enable_thinking": shape.thinking}}


def _ask(
    client: httpx.Client, url: str, body: dict[str, Any], number: int, shape: LoadShape, start: float
) -> RequestRecord:
    sent = time.monotonic() - start
    came: list[float] = []
    usage: dict[str, Any] = {}
    with client.stream("POST", url, json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            usage = chunk.get("usage") or usage
            if any(len(choice["delta"].keys() - {"role"}) for choice in chunk["choices"]):
                came.append(time.monotonic() - start)
    return RequestRecord(
        number=number,
        warmup=number < shape.warmup,
        status="ok",
        sent=sent,
        first=came[0],
        answer_first=came[0],
        last=came[-1],
        done=time.monotonic() - start,
        prompt_tokens=usage["prompt_tokens"],
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        output_tokens=usage["completion_tokens"],
        thinking_only=False,
    )

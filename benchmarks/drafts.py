"""What the MTP head is worth on `tiny`: tokens a second with drafts and without, beside acceptance and cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from trtnemo import LLM, SamplingParams
from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

TOKENS = 96
PROMPTS = [
    "What is the capital of Japan?",
    "What is 17 plus 25?",
    "Write a haiku about the sea.",
    "Good morning!",
    "What is the capital of Kenya?",
    "What is 8 plus 64?",
]
WAYS = {"off": (0, False), "adaptive": (3, True), "1": (1, False), "2": (2, False), "3": (3, False)}


def measure(work: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, print and return rates of batch 1, greedy, by number of drafts."""
    samples: dict[str, list[float]] = {name: [] for name in WAYS}
    rounds_seen: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with ExitStack() as stack:
        opened = {name: stack.enter_context(LLM(_build(work, name))) for name in WAYS}
        prompts = {name: [_chat(llm, text) for text in PROMPTS] for name, llm in opened.items()}
        for number in range(rounds + 1):
            for name, llm in opened.items():
                rate, seen = _run(llm, prompts[name])
                if number:  # the first warms caches, and teaches the adaptive one
                    samples[name].append(rate)
                    rounds_seen[name].append(seen)
    off = statistics.median(samples["off"])
    step = statistics.median(seconds for _, seconds in rounds_seen["off"])
    say("\ndrafts on tiny, one stream, greedy")
    for name, values in samples.items():
        tokens, seconds = map(statistics.median, zip(*rounds_seen[name], strict=True))
        predicted = tokens / (seconds / step)
        rate = statistics.median(values)
        formula = f"{tokens:.2f} tokens / {seconds / step:.2f} steps a round = {predicted:.2f}"
        say(f"  {name:<10} {rate:8.1f} tokens/s   {rate / off:5.2f} of none   {formula}")
    return {"samples": samples, "ratios": {name: statistics.median(values) / off for name, values in samples.items()}}


def _build(work: Path, name: str) -> Path:
    drafts, adaptive = WAYS[name]
    output = work / "engines" / f"tiny-drafts-{name}"
    settings = [f"speculation.draft_tokens={drafts}", f"speculation.adaptive={str(adaptive).lower()}"]
    build_engine(load_recipe("tiny", settings), "tiny", output, force=output.exists())
    return output


def _chat(llm: LLM, text: str) -> list[int]:
    return llm.tokenizer.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n<think>\n")


def _run(llm: LLM, prompts: list[list[int]]) -> tuple[float, tuple[float, float]]:
    """Return tokens a second, and tokens and seconds a round, after each prompt's first token."""
    params = SamplingParams(temperature=0, max_tokens=TOKENS, ignore_eos=True)
    tokens = rounds = 0
    seconds = 0.0
    for prompt in prompts:
        llm.generate([prompt], SamplingParams(temperature=0, max_tokens=1))  # its beginning is then kept or short
        started = time.perf_counter()
        output = llm.generate([prompt], params)[0]
        seconds += time.perf_counter() - started
        tokens += len(output.token_ids)
        rounds += len(output.token_ids) - output.accepted
    return tokens / seconds, (tokens / rounds, seconds / rounds)

"""What native executors are asked, and what is compared of their answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from trtnemo import SamplingParams
from trtnemo.runtime.client import iterate
from trtnemo.runtime.messages import PromptReused, TokenGenerated

STOP = 2
PARAMS = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True, logprobs=1)


def prompt(seed: int, length: int) -> list[int]:
    tokens: list[int] = np.random.default_rng(seed).integers(20, 4096, length).tolist()
    return tokens


def say(client: Any, tokens: Any, params: Any = PARAMS) -> Any:
    """Return (tokens with their log probabilities, prompt tokens reused)."""
    said, reused = [], 0
    for event in iterate(client, client.check(tokens, params)):
        if isinstance(event, TokenGenerated):
            said.append((event.token_id, event.logprob))
        elif isinstance(event, PromptReused):
            reused = event.tokens
    return said, reused

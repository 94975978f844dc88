"""Clients of native executors with states of prompts on disk, and what they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.backends.executors import make_native
from trtnemo import SamplingParams
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.client import iterate
from trtnemo.runtime.messages import PromptReused, TokenGenerated
from trtnemo.runtime.options import PrefixPlace

STOP = 2
PARAMS = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, logprobs=1)


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


class Disk:
    """One directory, and engines that use it, each as a process that starts and ends would."""

    def __init__(self, checkpoint: Path, root: Path) -> None:
        self.checkpoint, self.root = checkpoint, root
        self.open_clients: list[Any] = []

    def client(
        self, *, engine: str = "e", most: int = 1 << 30, drafts: int = 0, memory: int = 0, **executor: Any
    ) -> Any:
        executor = {"slots": 2, "max_seq_len": 8192, "max_num_tokens": 512, **executor}
        options = LoopOptions(drafts, prefix_bytes=memory, prefix_place=PrefixPlace(self.root, most, engine))
        client = client_over(make_native(self.checkpoint, **executor), frozenset({STOP}), options)
        self.open_clients.append(client)
        return client

    def ask(self, tokens: Any, params: Any = PARAMS, **options: Any) -> Any:
        """Return what an engine says that is started for this alone, and how much it reused."""
        client = self.client(**options)
        try:
            return say(client, tokens, params)
        finally:
            client.close()

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

"""Clients of native executors with states of prompts on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.backends.asking import PARAMS, STOP, say
from tests.support.backends.executors import make_native
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.options import PrefixPlace


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

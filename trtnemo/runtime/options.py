"""How an engine loop runs its sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PrefixPlace:
    """A directory of states of prompts, and the most bytes of its files.

    engine: a digest of what they depend on: weights, graphs and code.
    """

    directory: Path
    most_bytes: int
    engine: str = ""


@dataclass(frozen=True)
class LoopOptions:
    """What a recipe says of scheduling.

    draft_tokens: most drafts a round; adapts_drafts: fewer where fewer pay; prefix_bytes: memory for prefixes' states;
    prefix_place: disk for them.
    """

    draft_tokens: int = 0
    adapts_drafts: bool = False
    prefix_bytes: int = 0
    prefix_place: PrefixPlace | None = None

"""How an engine loop runs its sequences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoopOptions:
    """What a recipe says of scheduling.

    draft_tokens: most drafts a round; adapts_drafts: fewer where fewer pay; prefix_bytes: memory for prefixes' states.
    """

    draft_tokens: int = 0
    adapts_drafts: bool = False
    prefix_bytes: int = 0

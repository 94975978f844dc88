"""The servers behind a gateway: which of them takes the next request."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field


@dataclass
class Upstream:
    """One server: its address, what runs there, and whether it is ready, or why not.

    token_at: when its last token was seen. A server that was never seen to give one is not ready. owner: whom its list
    of models names, by which servers are told from each other;
    version: what its /version says.
    """

    base: str
    outstanding: int = 0
    is_ready: bool = False
    reason: str = "it was not asked yet"
    token_at: float | None = None
    owner: str = ""
    version: str = ""
    version_at: float = float("-inf")

    def eject(self, reason: str) -> None:
        """Send nothing more there until it is seen to be well."""
        self.is_ready, self.reason = False, reason


@dataclass
class Pool:
    """All upstreams of one recipe; any of them can answer any request. One that is paused takes no new ones."""

    upstreams: list[Upstream]
    is_paused: bool = False
    clock: Callable[[], float] = field(default=time.monotonic)

    @property
    def outstanding(self) -> int:
        """Requests that run, at all of them."""
        return sum(upstream.outstanding for upstream in self.upstreams)

    @property
    def is_ready(self) -> bool:
        """Whether any of them is."""
        return not self.is_paused and any(upstream.is_ready for upstream in self.upstreams)

    @property
    def reasons(self) -> str:
        """Why none of them is ready."""
        if self.is_paused:
            return "what stands behind is being replaced"
        return "; ".join(f"{upstream.base}: {upstream.reason}" for upstream in self.upstreams if not upstream.is_ready)

    def choose(self, tried: Collection[Upstream] = ()) -> Upstream | None:
        """Return the ready one with the fewest requests that was not tried, None where there is none."""
        ready = [
            one
            for one in self.upstreams
            if not self.is_paused and one.is_ready and not any(one is other for other in tried)
        ]
        return min(ready, key=lambda one: one.outstanding, default=None)

    def saw_token(self, upstream: Upstream) -> None:
        """Note that an upstream answers."""
        upstream.token_at = self.clock()

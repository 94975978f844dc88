"""What a request takes, told from wherever it is known to the gate: tokens, and how long its body is held."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class Meter:
    """The tokens of one request, prompts and answers together; it is over when nothing works for it any more."""

    def __init__(self) -> None:
        self.tokens = 0
        self._holds = 0
        self._over: Callable[[], None] | None = None
        self.let_go_of_body: Callable[[], None] = lambda: None

    def hold(self) -> Callable[[], None]:
        """Keep the request going beyond its answer, as work in the background does; return what lets go of it."""
        self._holds += 1
        return self._release

    def _release(self) -> None:
        self._holds -= 1
        if not self._holds and self._over is not None:
            self._over()

    def close(self, over: Callable[[], None]) -> None:
        """The answer is sent: call `over` now, or when the last hold is let go."""
        self._over = over
        if not self._holds:
            over()


# of the request that the running task belongs to
METER: ContextVar[Meter | None] = ContextVar("trtnemo_meter", default=None)


def count_tokens(count: int) -> None:
    """Count tokens of the request that is being answered; without a gate nobody asks."""
    meter = METER.get()
    if meter is not None:
        meter.tokens += count


def hold() -> Callable[[], None]:
    """Keep the request that is being answered going; return what lets go of it."""
    meter = METER.get()
    return meter.hold() if meter is not None else lambda: None


def let_go_of_body() -> None:
    """Say that the body of the request that is being answered is read, and not held any more."""
    meter = METER.get()
    if meter is not None:
        meter.let_go_of_body()

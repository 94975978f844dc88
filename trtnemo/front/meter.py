"""Tokens that a request takes, told from wherever they are counted to the gate that charges its key."""

from __future__ import annotations

from contextvars import ContextVar


class Meter:
    """The tokens of one request, prompts and answers together."""

    def __init__(self) -> None:
        self.tokens = 0


# of the request that the running task belongs to
METER: ContextVar[Meter | None] = ContextVar("trtnemo_meter", default=None)


def count_tokens(count: int) -> None:
    """Count tokens of the request that is being answered; without a gate nobody asks."""
    meter = METER.get()
    if meter is not None:
        meter.tokens += count

"""The plain messages between a frontend and the engine loop, which may run in a process of its own."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Literal

import msgspec

from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.runtime.sampling_params import SamplingParams

FinishReason = Literal["stop", "length", "abort"]


class ThinkingBudget(msgspec.Struct, frozen=True):
    """How many tokens a sequence may think that starts inside a think block.

    tokens: the budget; end_id: what is written when it is used up; closing_ids: tokens that end thinking by themselves.
    """

    tokens: int
    end_id: int
    closing_ids: frozenset[int]


class Submit(msgspec.Struct, frozen=True, tag=True):
    """Run a sequence; ids are the caller's and unique while it runs.

    kept_end: tokens of the prompt after which its state is kept for the next prompt, 0 for none; grammar: what the
    output keeps (`text/structure.py`), None for anything.
    """

    request_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    stop_token_ids: frozenset[int]
    thinking: ThinkingBudget | None = None
    kept_end: int = 0
    grammar: str | None = None


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Stop a sequence and free what it holds; unknown ids are fine."""

    request_id: str


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Stop the loop: at once, or when all sequences have ended."""

    drain: bool


class Compile(msgspec.Struct, frozen=True, tag=True):
    """Compile a grammar, and keep it for the sequences that will ask for it."""

    request_id: str
    grammar: str


Command = Submit | Abort | Shutdown | Compile


class Started(msgspec.Struct, frozen=True, tag=True):
    """A sequence has a slot for the first time: its waiting is over."""

    request_id: str


class PromptReused(msgspec.Struct, frozen=True, tag=True):
    """So many of the prompt's first tokens were not run again, for a kept state stood after them."""

    request_id: str
    tokens: int


class PromptScored(msgspec.Struct, frozen=True, tag=True):
    """Log probabilities of the prompt's tokens; the first has none."""

    request_id: str
    logprobs: tuple[TokenLogprob | None, ...]


class TokenGenerated(msgspec.Struct, frozen=True, tag=True):
    """One more token of a sequence.

    drafted: drafts that were verified with this token, on the first of them; accepted: whether it was drafted.
    """

    request_id: str
    token_id: int
    logprob: TokenLogprob | None
    drafted: int = 0
    accepted: bool = False


class Finished(msgspec.Struct, frozen=True, tag=True):
    """A sequence has ended."""

    request_id: str
    reason: FinishReason


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A sequence broke; the loop lives on, unless `is_lost`: then the engine itself is gone, and may come again."""

    request_id: str
    message: str
    is_lost: bool = False


class Compiled(msgspec.Struct, frozen=True, tag=True):
    """A grammar was compiled, or cannot be kept: `error` says why."""

    request_id: str
    error: str | None = None


class EngineLost(msgspec.Struct, frozen=True, tag=True):
    """The engine is gone, and every sequence with it."""

    reason: str


Event = Started | PromptReused | PromptScored | TokenGenerated | Finished | Failed | Compiled


class LoopStatistics(msgspec.Struct, frozen=True):
    """What the loop has done so far, and what it holds now (GAUGES).

    Tuples count drafts by their place behind the last token.
    """

    running: int = 0
    waiting: int = 0
    kv_pages: int = 0
    kv_pages_used: int = 0
    prefix_entries: int = 0
    prefix_bytes: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    prefix_disk_hits: int = 0
    preemptions: int = 0
    generated_tokens: int = 0
    verifications: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    drafted_at: tuple[int, ...] = ()
    accepted_at: tuple[int, ...] = ()

    def plus(self, other: LoopStatistics) -> LoopStatistics:
        """Return the sum, number by number."""
        names = LoopStatistics.__struct_fields__
        return LoopStatistics(*(_sum(getattr(self, name), getattr(other, name)) for name in names))

    def at_rest(self) -> LoopStatistics:
        """Return the same counts with nothing running."""
        return msgspec.structs.replace(self, **dict.fromkeys(GAUGES, 0))


GAUGES = ("running", "waiting", "kv_pages", "kv_pages_used", "prefix_entries", "prefix_bytes")


def _sum(left: Any, right: Any) -> Any:
    if isinstance(left, tuple):
        return tuple(a + b for a, b in zip_longest(left, right, fillvalue=0))
    return left + right

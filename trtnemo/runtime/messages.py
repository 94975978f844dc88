"""The plain messages between a frontend and the engine loop; both sides could be other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.runtime.sampling_params import SamplingParams

FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True)
class ThinkingBudget:
    """How many tokens a sequence may think that starts inside a think block.

    tokens: the budget; end_id: what is written when it is used up; closing_ids: tokens that end thinking by themselves.
    """

    tokens: int
    end_id: int
    closing_ids: frozenset[int]


@dataclass(frozen=True)
class Submit:
    """Run a sequence; ids are the caller's and unique while it runs.

    kept_end: tokens of the prompt after which its state is kept for the next prompt, 0 for none.
    """

    request_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    stop_token_ids: frozenset[int]
    thinking: ThinkingBudget | None = None
    kept_end: int = 0


@dataclass(frozen=True)
class Abort:
    """Stop a sequence and free what it holds; unknown ids are fine."""

    request_id: str


@dataclass(frozen=True)
class Shutdown:
    """Stop the loop: at once, or when all sequences have ended."""

    drain: bool


Command = Submit | Abort | Shutdown


@dataclass(frozen=True)
class PromptReused:
    """So many of the prompt's first tokens were not run again, for a kept state stood after them."""

    request_id: str
    tokens: int


@dataclass(frozen=True)
class PromptScored:
    """Log probabilities of the prompt's tokens; the first has none."""

    request_id: str
    logprobs: tuple[TokenLogprob | None, ...]


@dataclass(frozen=True)
class TokenGenerated:
    """One more token of a sequence.

    drafted: drafts that were verified with this token, on the first of them; accepted: whether it was drafted.
    """

    request_id: str
    token_id: int
    logprob: TokenLogprob | None
    drafted: int = 0
    accepted: bool = False


@dataclass(frozen=True)
class Finished:
    """A sequence has ended."""

    request_id: str
    reason: FinishReason


@dataclass(frozen=True)
class Failed:
    """A sequence broke; the loop lives on."""

    request_id: str
    message: str


Event = PromptReused | PromptScored | TokenGenerated | Finished | Failed


@dataclass(frozen=True)
class LoopStatistics:
    """What the loop has done so far and is doing now."""

    running: int = 0
    waiting: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0
    generated_tokens: int = 0
    verifications: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

"""The plain messages between a frontend and the engine loop; both sides could be other processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.runtime.sampling_params import SamplingParams

FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True)
class Submit:
    """Run a sequence; ids are the caller's and unique while it runs."""

    request_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    stop_token_ids: frozenset[int]


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
class PromptScored:
    """Log probabilities of the prompt's tokens; the first has none."""

    request_id: str
    logprobs: tuple[TokenLogprob | None, ...]


@dataclass(frozen=True)
class TokenGenerated:
    """One more token of a sequence."""

    request_id: str
    token_id: int
    logprob: TokenLogprob | None


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


Event = PromptScored | TokenGenerated | Finished | Failed


@dataclass(frozen=True)
class LoopStatistics:
    """What the loop has done so far and is doing now."""

    running: int = 0
    waiting: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0

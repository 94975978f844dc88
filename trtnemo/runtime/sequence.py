"""One sequence on its way through the scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field

from trtnemo.runtime.messages import FinishReason, Submit
from trtnemo.runtime.sampler import Sampler, TokenLogprob


@dataclass
class Sequence:
    """A request's tokens, how many of them the executor has seen, and its sampler."""

    request: Submit
    token_limit: int
    slot: int = -1
    position: int = 0
    tokens: list[int] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob | None] = field(default_factory=list)
    sampler: Sampler = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)
        self.sampler = Sampler(self.request.params, self.tokens)

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.request_id

    @property
    def generated(self) -> int:
        """Tokens generated so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def unseen(self) -> int:
        """Tokens that the executor has not run yet: the rest of the prompt, or the one just sampled."""
        return len(self.tokens) - self.position

    @property
    def is_decoding(self) -> bool:
        """Whether the prompt is done."""
        return self.position >= len(self.request.prompt)

    @property
    def wants_prompt_logits(self) -> bool:
        """Whether the prompt's own tokens are scored."""
        return self.request.params.prompt_logprobs is not None

    def finish_reason(self, token_id: int) -> FinishReason | None:
        """Return why the sequence ends with `token_id`, which was just appended, or None."""
        is_stop = token_id in self.request.stop_token_ids
        if is_stop and self.generated > self.request.params.min_tokens:
            return "stop"
        return "length" if self.generated >= self.token_limit else None

    @property
    def forbidden(self) -> frozenset[int]:
        """Tokens that must not be drawn now: stop tokens before min_tokens is reached."""
        if self.generated < self.request.params.min_tokens:
            return self.request.stop_token_ids
        return frozenset()

"""One sequence on its way through the scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trtnemo.backends import Draw, Row, Snapshot
from trtnemo.errors import ConstraintError
from trtnemo.runtime.guide import Guide
from trtnemo.runtime.messages import FinishReason, Submit
from trtnemo.runtime.prefixes.jobs import Reading
from trtnemo.runtime.prefixes.ladder import Ladder
from trtnemo.runtime.sampler import Sampler, TokenLogprob, TokenMask, mask_of


@dataclass
class Sequence:
    """A request's tokens, how many of them the executor has seen, its sampler, and the drafts under verification.

    cached: prompt tokens that a kept prefix spared; preempted: the state of a sequence that was preempted;
    running_then: how many sequences kept running when that happened; guide: where it stands in its grammar;
    is_sought, reading: whether its beginning was looked for on disk, and what is read of it; ladder: what goes there.
    """

    request: Submit
    token_limit: int
    slot: int = -1
    position: int = 0
    tokens: list[int] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob | None] = field(default_factory=list)
    drafts: list[int] = field(default_factory=list)
    has_thought: bool = False
    cached: int = 0
    preempted: Snapshot | None = None
    running_then: int = 0
    guide: Guide | None = None
    is_sought: bool = False
    reading: Reading | None = None
    ladder: Ladder | None = None
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
    def uncomputed(self) -> int:
        """Tokens that the executor has not run yet: the rest of the prompt, or the one just sampled."""
        return len(self.tokens) - self.position

    @property
    def is_decoding(self) -> bool:
        """Whether the prompt is done."""
        return self.position >= len(self.request.prompt)

    @property
    def room_for_drafts(self) -> int:
        """Drafts that could all be accepted, with the token after them, before the sequence is full."""
        return max(0, self.token_limit - self.generated - 1) if self.is_decoding and self.uncomputed == 1 else 0

    def append_next(self, row: Row) -> int:
        """Append the next token and return it: drawn, or forced where the thinking budget is used up.

        Raises ConstraintError where the grammar has become too complex to be followed.
        """
        forced = self._forced_token()
        if forced is not None:
            token_id = self.sampler.count(forced)
        elif isinstance(row, int):
            token_id = self.sampler.count(row)
        else:
            allowed = self._allowed(len(row))
            token_id = self.sampler.sample(row, self._forbidden_beside(allowed), allowed)
        self.tokens.append(token_id)
        if self.guide is not None:
            self.guide.advance(token_id)
        thinking = self.request.thinking
        self.has_thought = self.has_thought or (thinking is not None and token_id in thinking.closing_ids)
        return token_id

    def drawn_at(self, ahead: int) -> Draw | None:
        """Return how an executor draws the token `ahead` places after the next one.

        None where that depends on more than its logits, or where they are reported.
        """
        params = self.request.params
        has_rules = self.guide is not None or params.allowed_token_ids is not None or bool(params.bad_words)
        is_early = self.generated + ahead < params.min_tokens
        if has_rules or is_early or params.logprobs is not None:
            return None
        return self.sampler.drawn_at(ahead)

    def _forced_token(self) -> int | None:
        thinking = self.request.thinking
        is_spent = thinking is not None and not self.has_thought and self.generated >= thinking.tokens
        return thinking.end_id if thinking is not None and is_spent else None

    @property
    def wants_prompt_logits(self) -> bool:
        """Whether the prompt's own tokens are scored."""
        return self.request.params.prompt_logprobs is not None

    def finish_reason(self, token_id: int) -> FinishReason | None:
        """Return why the sequence ends with `token_id`, which was just appended, or None."""
        if self.guide is not None and self.guide.is_finished:
            return "stop"
        is_stop = token_id in self.request.stop_token_ids
        if is_stop and self.generated > self.request.params.min_tokens:
            return "stop"
        return "length" if self.generated >= self.token_limit else None

    def _allowed(self, vocab_size: int) -> TokenMask | None:
        """Return the tokens that the grammar and the request leave; raises ConstraintError where that is none."""
        guided = self.guide.mask() if self.guide is not None else None
        ids = self.request.params.allowed_token_ids
        if ids is None:
            return guided
        chosen = mask_of(ids, vocab_size)
        both = chosen if guided is None else chosen & guided
        if not both.any():
            raise ConstraintError("allowed_token_ids and the constraint leave no token")
        return both

    def _forbidden_beside(self, allowed: TokenMask | None) -> frozenset[int]:
        """Return the tokens that must not be drawn; a grammar that leaves no others comes first."""
        forbidden = self.forbidden
        if allowed is None or not forbidden:
            return forbidden
        left = allowed.copy()
        for token in forbidden:
            left[token >> 5] &= ~np.uint32(1 << (token & 31))
        return forbidden if left.any() else frozenset()

    @property
    def forbidden(self) -> frozenset[int]:
        """Tokens that must not be drawn now: stop tokens before min_tokens is reached, and the ends of bad words."""
        params = self.request.params
        stops = self.request.stop_token_ids if self.generated < params.min_tokens else frozenset()
        if not params.bad_words:
            return stops
        written = self.tokens[len(self.request.prompt) :]
        ends = {word[-1] for word in params.bad_words if word[:-1] == tuple(written[len(written) - len(word) + 1 :])}
        return stops | ends

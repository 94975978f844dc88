"""Where one sequence stands in its grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trtnemo.errors import ConstraintError
from trtnemo.runtime.sampler import TokenMask

if TYPE_CHECKING:
    from llguidance import LLMatcher


class Guide:
    """Follows one sequence's tokens and says which may come next; what it allows depends on those tokens alone."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._mask = np.zeros((vocab_size + 31) // 32, np.uint32)

    @property
    def is_finished(self) -> bool:
        """Whether nothing but the end may follow."""
        return self._matcher.is_stopped()

    def mask(self) -> TokenMask:
        """Return the tokens that may come next, good until the next call; raises ConstraintError."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._require_sound()
        return self._mask

    def advance(self, token_id: int) -> None:
        """Take the token that was chosen; raises ConstraintError."""
        self._matcher.consume_token(token_id)
        self._require_sound()

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(f"the constraint broke: {first_line(self._matcher.get_error())}")


def first_line(message: str) -> str:
    """Return what a message of llguidance says first, without the grammar that it prints after it."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    reason = next((line for line in lines if line.startswith("error:")), "")
    return " ".join(filter(None, [lines[0] if lines else "unknown", reason]))

"""What the executor remembers of a slot besides its states on the device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Slot:
    """A sequence.

    length: committed tokens; last_hidden: the target's hidden state of the last of them; pending_ids, pending_hidden:
    tokens under verification; draft_hidden, draft_position: where drafting stands since the last commit.
    """

    length: int = 0
    last_hidden: Tensor | None = None
    pending_ids: Tensor | None = None
    pending_hidden: Tensor | None = None
    draft_hidden: Tensor | None = None
    draft_position: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether tokens wait for commit."""
        return self.pending_ids is not None

    @property
    def end(self) -> int:
        """The first entry behind all that its KV caches hold."""
        waiting = 0 if self.pending_ids is None else len(self.pending_ids)
        drafted = 0 if self.draft_hidden is None else self.draft_position
        return max(self.length + waiting, drafted)

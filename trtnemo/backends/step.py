"""One ragged step: token ids, the segments they belong to, and the rows wanted back.

Prefill chunk, decode and draft verification are the same call. Numbers cross as numpy arrays, so that nothing above an
executor needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtnemo.backends.draw import Draw
from trtnemo.errors import StepError

TokenIds = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
# a row's logits, or its token where the executor drew it
Row = Float32 | int


@dataclass(frozen=True)
class Segment:
    """A run of tokens of one sequence.

    slot: the sequence's state slot; start, length: its rows in the step's token_ids; position: index of its first
    token in the sequence. A `speculative` segment holds drafts under verification: its recurrent state waits for
    `commit`, which says how many of its tokens are accepted.
    """

    slot: int
    start: int
    length: int
    position: int
    speculative: bool = False

    @property
    def rows(self) -> slice:
        """The segment's rows in the step."""
        return slice(self.start, self.start + self.length)


@dataclass(frozen=True)
class StepBatch:
    """token_ids [T], segments that cover them in order, rows wanted as logits, rows wanted as hidden states.

    draws: for an executor that draws tokens itself, how each logit row's is drawn; None where its logits are wanted.
    """

    token_ids: TokenIds
    segments: tuple[Segment, ...]
    logit_rows: TokenIds
    hidden_rows: TokenIds
    draws: tuple[Draw | None, ...] = ()

    def validate(self) -> None:
        """Raise StepError unless the segments cover the tokens once, each slot at most once."""
        position = 0
        for segment in self.segments:
            if segment.length < 1 or segment.start != position:
                raise StepError(f"segment of slot {segment.slot} starts at {segment.start}, not {position}")
            position += segment.length
        if position != len(self.token_ids):
            raise StepError(f"segments cover {position} of {len(self.token_ids)} tokens")
        slots = [segment.slot for segment in self.segments]
        if len(set(slots)) < len(slots):
            raise StepError("a slot stands in two segments of one step")
        for rows in (self.logit_rows, self.hidden_rows):
            if len(rows) and not (rows.min() >= 0 and rows.max() < position):
                raise StepError(f"a wanted row lies outside the step's {position}")
        if self.draws and len(self.draws) != len(self.logit_rows):
            raise StepError(f"{len(self.draws)} draws for {len(self.logit_rows)} rows of logits")

    def slots_of(self, rows: TokenIds) -> frozenset[int]:
        """Return the slots that some of the wanted rows of logits, by their number, belong to."""
        places = self.logit_rows[rows]
        return frozenset(
            part.slot for part in self.segments for place in places if 0 <= place - part.start < part.length
        )


@dataclass(frozen=True)
class StepResult:
    """logits [R, vocabulary] and hidden states [H, hidden] in float32, in the order their rows were asked for.

    tokens: what was drawn of each logit row, -1 where it was not; then `logits` has those other rows alone.
    broken: slots whose logits were no numbers, which are empty now.
    """

    logits: Float32
    hidden_states: Float32
    tokens: TokenIds | None = None
    broken: frozenset[int] = frozenset()

    def rows(self) -> list[Row]:
        """Return of each logit row the token that was drawn, else its logits."""
        if self.tokens is None:
            return list(self.logits)
        left = iter(self.logits)
        return [int(token) if token >= 0 else next(left) for token in self.tokens]


def ends_of(segments: Iterable[Segment]) -> dict[int, int]:
    """Return the tokens of each slot's sequence behind its segment."""
    return {segment.slot: segment.position + segment.length for segment in segments}


def make_batch(
    parts: list[tuple[int, int, list[int], bool]],
    logit_rows: list[int] | None = None,
    hidden_rows: list[int] | None = None,
) -> StepBatch:
    """Return a batch of (slot, position, token ids, speculative) parts; logits of all rows by default."""
    segments: list[Segment] = []
    tokens: list[int] = []
    for slot, position, ids, speculative in parts:
        segments.append(Segment(slot, len(tokens), len(ids), position, speculative))
        tokens.extend(ids)
    rows = range(len(tokens)) if logit_rows is None else logit_rows
    return StepBatch(
        np.asarray(tokens, np.int64),
        tuple(segments),
        np.asarray(list(rows), np.int64),
        np.asarray(hidden_rows or [], np.int64),
    )

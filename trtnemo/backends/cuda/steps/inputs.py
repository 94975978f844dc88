"""What a captured step reads: at fixed places of a device's memory, told in one copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trtnemo.backends.cuda.steps.draw import tell_draws
from trtnemo.backends.cuda.steps.run import about
from trtnemo.backends.draw import Draw
from trtnemo.backends.step import Segment
from trtnemo.kernels.segments import LENGTH, WIDTH

_PLACE = 1  # of a row that says how a token is drawn (`kernels/draw.py`)


@dataclass(frozen=True)
class Size:
    """Sequences of a captured step, tokens of each, and whether each token's logits are wanted, or the last one's."""

    sequences: int
    tokens: int
    every: bool

    @property
    def rows(self) -> int:
        """Tokens of the step."""
        return self.sequences * self.tokens

    @property
    def drawn(self) -> int:
        """Rows of logits."""
        return self.rows if self.every else self.sequences


class _Views:
    """The parts of one array of 8-byte words: segments, token ids, rows of logits, how their tokens are drawn."""

    def __init__(self, words: Tensor, size: Size) -> None:
        lengths = [size.sequences * WIDTH // 2, size.rows, size.drawn, 4 * size.drawn, 4 * size.drawn]
        table, ids, logit_rows, whole, real = torch.split(words, lengths)
        self.table: Tensor = table.view(torch.int32).view(size.sequences, WIDTH)
        self.ids: Tensor = ids
        self.logit_rows: Tensor = logit_rows
        self.whole: Tensor = whole.view(-1, 4)
        self.real: Tensor = real.view(torch.float64).view(-1, 4)


class StepInputs:
    """The inputs of a captured step. `hidden` [rows, width]: for a draft head, written by the caller.

    What the sequences of a step leave free is filled with sequences that begin in a slot of their own, of equal
    content: they write equal values, and nobody reads them.
    """

    def __init__(self, size: Size, hidden_width: int | None, spare: int, device: torch.device) -> None:
        self.size, self._spare = size, spare
        words = size.sequences * WIDTH // 2 + size.rows + 9 * size.drawn
        self._told = torch.zeros(words, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._kept = torch.zeros(words, dtype=torch.int64, device=device)
        self._sent: torch.cuda.Event | None = None
        self._host, self._device = _Views(self._told, size), _Views(self._kept, size)
        self.hidden = None if hidden_width is None else torch.zeros(size.rows, hidden_width, device=device)

    @property
    def table(self) -> Tensor:
        """Segments on the device."""
        return self._device.table

    @property
    def ids(self) -> Tensor:
        """Token ids on the device."""
        return self._device.ids

    @property
    def logit_rows(self) -> Tensor:
        """Rows whose logits are computed."""
        return self._device.logit_rows

    @property
    def draws(self) -> tuple[Tensor, Tensor]:
        """How their tokens are drawn: real numbers, and whole ones."""
        return self._device.real, self._device.whole

    def tell(
        self,
        segments: Sequence[Segment],
        replays: Sequence[int],
        ids: Sequence[Tensor],
        draws: Sequence[Draw | None] = (),
    ) -> None:
        """Write a step: sequences with their token ids on the host; draws of each row of logits, from the first on."""
        size, host = self.size, self._host
        if self._sent is not None:
            self._sent.synchronize()  # a copy that is still on its way would take these numbers along
        host.ids.zero_()
        filled = [Segment(self._spare, 0, size.tokens, 0)] * (size.sequences - len(segments))
        starts, every = range(0, size.rows, size.tokens), [*segments, *filled]
        placed = [replace(segment, start=start) for segment, start in zip(every, starts, strict=True)]
        behind = [*replays, *[0] * len(filled)]
        rows = [about(segment, replay, size.tokens) for segment, replay in zip(placed, behind, strict=True)]
        host.table.copy_(torch.tensor(rows, dtype=torch.int32))
        for segment, tokens in zip(placed, ids, strict=False):
            host.ids[segment.rows] = tokens
        wanted = range(size.rows) if size.every else [segment.rows.stop - 1 for segment in placed]
        host.logit_rows.copy_(torch.tensor(list(wanted)))
        tell_draws(draws, host.real, host.whole)
        self._kept.copy_(self._told, non_blocking=True)
        if self._kept.is_cuda:
            self._sent = self._sent or torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._sent.record()

    def advance(self, ids: Tensor) -> None:
        """Go on with one token more of each sequence, which lies on the device."""
        self.ids[: len(ids)].copy_(ids)
        self.table[:, int(LENGTH.value)] += 1
        self._device.whole[:, _PLACE] += 1

"""The MTP head over a few tokens of each sequence, and chains of drafts that stay on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trtnemo.backends.cuda.steps.draw import draw_rows
from trtnemo.backends.cuda.steps.frame import Frame, Frames, Outputs
from trtnemo.backends.cuda.steps.run import Runner
from trtnemo.backends.draw import Draw
from trtnemo.backends.step import Segment
from trtnemo.graph import Graph


class DraftHead:
    """Runs the head's graph in captured steps where it can, else kernel by kernel."""

    def __init__(self, runner: Runner, graph: Graph, frames: Frames) -> None:
        self._runner, self._graph, self._frames = runner, graph, frames

    def run(
        self, segments: Sequence[Segment], ids: Sequence[Tensor], hidden: Sequence[Tensor], draws: Sequence[Draw | None]
    ) -> Outputs:
        """Return a token, the logits and the hidden state of the last row of each segment."""
        frame = self._find(segments)
        if frame is None:
            rows = torch.tensor([segment.start + segment.length - 1 for segment in segments])
            return self._launched(segments, torch.cat(list(ids)).to(rows.device), torch.cat(list(hidden)), rows, draws)
        tokens = frame.inputs.size.tokens
        frame.inputs.tell(segments, [0] * len(segments), ids, draws)
        filled = [part for rows in hidden for part in (rows, rows[-1:].expand(tokens - len(rows), -1))]
        return self._framed(frame, torch.cat(filled), draws)

    def chain(self, segments: Sequence[Segment], first: Outputs, draws: Sequence[Sequence[Draw]]) -> list[Outputs]:
        """Return what each further draft gives: segments of one token each, at the place of the second draft."""
        found, before, frame = [], first, self._find(segments, beyond=len(draws[0]))
        for number in range(len(draws[0])):
            placed = [replace(segment, position=segment.position + number) for segment in segments]
            told = [row[number] for row in draws]
            if frame is None:
                rows = torch.arange(len(segments))
                before = self._launched(placed, before.tokens, before.hidden, rows, told)
            else:
                if number == 0:
                    frame.inputs.tell(
                        placed, [0] * len(placed), [torch.zeros(1, dtype=torch.int64)] * len(placed), told
                    )
                    frame.inputs.ids[: len(placed)].copy_(before.tokens)
                else:
                    frame.inputs.advance(before.tokens)
                before = self._framed(frame, before.hidden, told)
            found.append(before)
        return found

    def _find(self, segments: Sequence[Segment], beyond: int = 0) -> Frame | None:
        if self._runner.watch is not None:
            return None
        return self._frames.find(self._graph, segments, every=False, beyond=beyond)

    @staticmethod
    def _framed(frame: Frame, hidden: Tensor, draws: Sequence[Draw | None]) -> Outputs:
        inputs, count = frame.inputs, len(draws)
        if inputs.hidden is not None:
            inputs.hidden[: len(hidden)].copy_(hidden)
        found = frame.run(draws)
        # copies, because the next step overwrites what a frame gives
        last = found.hidden[inputs.logit_rows[:count]]
        return Outputs(found.tokens[:count].clone(), found.logits[:count], last)

    def _launched(
        self, segments: Sequence[Segment], ids: Tensor, hidden: Tensor, rows: Tensor, draws: Sequence[Draw | None]
    ) -> Outputs:
        launch, device = self._runner.launch, self._runner.launch.device
        outputs = self._runner.run(
            self._graph, segments, [0] * len(segments), ids.to(device), {"hidden_states": hidden}, rows
        )
        logits = outputs["logits"].rows()
        tokens = draw_rows(launch, logits, draws, guess=True)
        return Outputs(tokens, logits, outputs["hidden_states"].rows()[rows.to(device)])

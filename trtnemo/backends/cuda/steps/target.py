"""The target's graph over a step: captured where all its sequences are short, else kernel by kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.cuda.steps.draw import draw_rows
from trtnemo.backends.cuda.steps.frame import Frame, Frames, Outputs
from trtnemo.backends.cuda.steps.run import Runner, is_of_few
from trtnemo.backends.draw import Draw
from trtnemo.backends.step import StepBatch
from trtnemo.graph import Graph


class TargetSteps:
    """Runs steps; what they give comes in the order in which the batch asks for it."""

    def __init__(self, runner: Runner, graph: Graph, frames: Frames) -> None:
        self._runner, self._graph, self._frames = runner, graph, frames

    def run(self, batch: StepBatch, replays: Sequence[int], ids: Tensor) -> Outputs:
        """Return tokens and logits of the rows wanted, and hidden states of every row. ids: on the host."""
        frame = None
        if self._runner.watch is None and batch.segments and is_of_few(batch.segments):
            frame = self._frames.find(self._graph, batch.segments, every=True)
        return self._launched(batch, replays, ids) if frame is None else self._framed(frame, batch, replays, ids)

    def _framed(self, frame: Frame, batch: StepBatch, replays: Sequence[int], ids: Tensor) -> Outputs:
        size, device = frame.inputs.size, self._runner.launch.device
        starts = range(0, size.rows, size.tokens)
        spread = [start + np.arange(part.length) for start, part in zip(starts, batch.segments, strict=False)]
        places = np.concatenate(spread)
        wanted = places[batch.logit_rows]
        draws: list[Draw | None] = [None] * size.drawn
        for place, draw in zip(wanted, batch.draws, strict=False):
            draws[place] = draw
        frame.inputs.tell(batch.segments, replays, [ids[segment.rows] for segment in batch.segments], draws)
        found = frame.run(batch.draws)
        rows, logit_rows = (torch.from_numpy(index).to(device) for index in (places, wanted))
        # copies, because the next step overwrites what a frame gives
        return Outputs(found.tokens[logit_rows], found.logits[logit_rows], found.hidden[rows])

    def _launched(self, batch: StepBatch, replays: Sequence[int], ids: Tensor) -> Outputs:
        rows, launch = torch.from_numpy(batch.logit_rows), self._runner.launch
        outputs = self._runner.run(self._graph, batch.segments, replays, ids.to(launch.device), {}, rows)
        logits = outputs["logits"].rows()
        return Outputs(draw_rows(launch, logits, batch.draws), logits, outputs["hidden_states"].rows())

"""The Executor protocol over TensorRT plans."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends import Budget, DraftToken, Segment, Snapshot, StepBatch, StepResult
from trtnemo.backends.feeds import Feed, SlotHidden, feed_of
from trtnemo.backends.slots import Slot, SlotBook, SlotSnapshot
from trtnemo.backends.step import Float32
from trtnemo.backends.tensorrt.lower.settings import CHUNK, DECODE_ROWS, Settings
from trtnemo.backends.tensorrt.run.graph_runner import READ, GraphRunner
from trtnemo.backends.tensorrt.run.grid import Grid, Stretch, make_grid
from trtnemo.backends.tensorrt.run.states import DeviceCopy, States
from trtnemo.errors import EngineError, StepError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _on_device(
    method: Callable[Concatenate[TensorrtExecutor, Parameters], Result],
) -> Callable[Concatenate[TensorrtExecutor, Parameters], Result]:
    """Run a method without gradients, on the executor's own stream: CUDA captures none of the default one."""

    @functools.wraps(method)
    def run(self: TensorrtExecutor, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with torch.inference_mode(), self.stream():
            return method(self, *args, **kwargs)

    return run


class TensorrtExecutor:
    """Runs a target graph, and the MTP graph where there is one, over slots of state on the device.

    What `commit` accepts is written into the recurrent states and the MTP cache when a later call needs them, for all
    slots together.
    """

    def __init__(
        self,
        target: GraphRunner,
        mtp: GraphRunner | None,
        states: States,
        settings: Settings,
        budget: Budget,
        device: torch.device,
    ) -> None:
        self.target = target
        self.mtp = mtp
        self._states = states
        self._settings = settings
        self._budget = budget
        self._device = device
        self.slots: SlotBook[SlotHidden] = SlotBook(budget, SlotHidden, has_mtp=mtp is not None)
        self._reads: dict[str, Tensor] = {}
        self._accepted: dict[int, int] = {}
        self._feeds: list[Feed] = []
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def stream(self) -> AbstractContextManager[object]:
        """Return a context in which the device's work is enqueued on this executor's stream."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    @property
    def computes_here(self) -> bool:
        """Whether plans are interpreted, not run on a device."""
        return self._device.type == "cpu"

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        return self._budget

    @_on_device
    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed.

        Raises EngineError where a plan did not run; the step's slots are empty then.
        """
        self.slots.check(batch)
        if not self._settings.keeps_rows and any(segment.speculative for segment in batch.segments):
            raise StepError("this engine's plans were built without drafts, so nothing can be verified")
        try:
            return self._forward(batch)
        except EngineError:
            for segment in batch.segments:
                self.release(segment.slot)
            raise

    def _forward(self, batch: StepBatch) -> StepResult:
        self._settle()
        fresh = [segment.slot for segment in batch.segments if segment.slot not in self.slots]
        self._states.clear(fresh)
        for slot in fresh:
            self.slots.open(slot)
        ids = torch.from_numpy(batch.token_ids.astype(np.int32)).to(self._device)
        parts: dict[int, Tensor] = {}
        few = [segment for segment in batch.segments if segment.length <= DECODE_ROWS]
        if few:
            parts |= self._decode(few, ids)
        for segment in batch.segments:
            if segment.length > DECODE_ROWS:
                parts[segment.start] = self._prefill(segment, ids[segment.rows])
        hidden = torch.cat([parts[segment.start] for segment in batch.segments])
        for segment in batch.segments:
            self._keep(segment, ids[segment.rows], hidden[segment.rows])
        logits = self._logits(self.target, hidden[torch.from_numpy(batch.logit_rows).to(self._device)])
        return StepResult(logits, _to_numpy(hidden[torch.from_numpy(batch.hidden_rows).to(self._device)]))

    @_on_device
    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        mtp, slots = self._drafting(tokens)
        self._settle()
        stretches = [Stretch(token.slot, 1, slot.draft_position, 0) for token, slot in zip(tokens, slots, strict=True)]
        grid = make_grid(stretches, self.slots.end, 1, self._device)
        ids = torch.tensor([token.token_id for token in tokens], dtype=torch.int32, device=self._device)
        starts = [slot.data.drafted if slot.drafted else slot.data.last for slot in slots]
        before = torch.stack([start for start in starts if start is not None])
        hidden = mtp.run("decode", grid, {"token_ids": ids, "hidden_states": before})["hidden_states"]
        for slot, row in zip(slots, hidden, strict=True):
            slot.data.drafted = row
            slot.drafted += 1
        return self._logits(mtp, hidden)

    @_on_device
    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        standing = self.slots.verifying(slot, accepted)
        ids, hidden = standing.data.pending_ids, standing.data.pending
        standing.data.pending_ids = standing.data.pending = None
        if accepted and ids is not None and hidden is not None:
            self._accepted[slot] = accepted
            self._feed_later(slot, standing, ids[:accepted], hidden[:accepted])
        self.slots.commit(slot, accepted)

    @_on_device
    def snapshot(self, slot: int) -> SlotSnapshot:
        """Return a copy of the slot's state at its last commit."""
        standing = self.slots.standing(slot)
        self._settle()
        return self.slots.snapshot(slot, DeviceCopy(self._states.copy(slot, standing.length), standing.data.last))

    @_on_device
    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        copy: DeviceCopy = self.slots.restoring(slot, snapshot)
        self.release(slot)
        self._states.put(slot, copy.states, snapshot.length)
        self.slots.restore(slot, snapshot, SlotHidden(copy.last_hidden))

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        self.slots.release(slot)
        self._accepted.pop(slot, None)
        self._feeds = [feed for feed in self._feeds if feed.slot != slot]

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return True: every slot has room for the longest sequence."""
        return True

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return True, for the same reason."""
        return True

    def _decode(self, segments: Sequence[Segment], ids: Tensor) -> dict[int, Tensor]:
        """Return hidden states by the segment's start, of all short segments in one run."""
        stretches = [
            Stretch(segment.slot, segment.length, segment.position, 0 if segment.speculative else segment.length)
            for segment in segments
        ]
        rows = max(segment.length for segment in segments)
        grid = make_grid(stretches, self.slots.end, rows, self._device)
        packed = torch.cat([ids[segment.rows] for segment in segments])
        made = self.target.run("decode", grid, {"token_ids": packed})
        self._remember([segment.slot for segment in segments if segment.speculative], made, grid)
        lengths = [segment.length for segment in segments]
        split = torch.split(made["hidden_states"], lengths)
        return {segment.start: part for segment, part in zip(segments, split, strict=True)}

    def _remember(self, slots: Sequence[int], made: Mapping[str, Tensor], grid: Grid) -> None:
        """Keep what Mamba layers read of tokens under verification, for `commit`."""
        if not slots:
            return
        for node in self.target.advances:
            read_BRD = made[f"{node}{READ}"]
            if node not in self._reads:
                shape = (self._budget.slots, DECODE_ROWS, read_BRD.shape[2])
                self._reads[node] = torch.zeros(shape, dtype=read_BRD.dtype, device=self._device)
            for slot in slots:
                self._reads[node][slot, : grid.sizes["R"]] = read_BRD[slot - grid.first_slot]

    def _prefill(self, segment: Segment, ids: Tensor) -> Tensor:
        return self._run_long(self.target, segment.slot, ids, segment.position, {})

    def _run_long(
        self, runner: GraphRunner, slot: int, ids: Tensor, position: int, inputs: dict[str, Tensor], mute: bool = False
    ) -> Tensor:
        """Return hidden states of many tokens of one slot, run after run; nothing when `mute`."""
        parts = []
        for start in range(0, len(ids), self._settings.prefill_rows):
            rows = slice(start, start + self._settings.prefill_rows)
            count = len(ids[rows])
            padded = -(-count // CHUNK) * CHUNK
            stretch = Stretch(slot, count, position + start, count)
            grid = make_grid([stretch], self.slots.end, padded, self._device)
            given = {name: values[rows].contiguous() for name, values in inputs.items()}
            made = runner.run("prefill", grid, {"token_ids": ids[rows], **given}, states_only=mute)
            if not mute:
                parts.append(made["hidden_states"])
        return torch.cat(parts) if parts else torch.empty(0, device=self._device)

    def _keep(self, segment: Segment, ids: Tensor, hidden: Tensor) -> None:
        slot = self.slots[segment.slot]
        if segment.speculative:
            slot.data.pending_ids, slot.data.pending = ids, hidden
        else:
            self._feed_later(segment.slot, slot, ids, hidden)
        self.slots.take(segment)

    def _feed_later(self, number: int, slot: Slot[SlotHidden], ids: Tensor, hidden: Tensor) -> None:
        """Note what the MTP cache has to take in of tokens that are about to be counted in."""
        feed = None if self.mtp is None else feed_of(number, slot.data.last, slot.length, ids, hidden)
        if feed is not None:
            self._feeds.append(feed)
        slot.data.last = hidden[-1].clone()

    def _settle(self) -> None:
        """Write what commits left to do."""
        if self._accepted:
            rows = max(self._accepted.values())
            stretches = [Stretch(slot, count, 0, count) for slot, count in sorted(self._accepted.items())]
            grid = make_grid(stretches, self.slots.end, rows, self._device)
            for node, plan in self.target.advances.items():
                read = grid.view(self._reads[node])[:, :rows].contiguous()
                plan.run(grid, {f"{node}{READ}": read})
            self._accepted = {}
        feeds, self._feeds = self._feeds, []
        few = [feed for feed in feeds if len(feed.token_ids) <= DECODE_ROWS]
        if few:
            self._feed(few)
        for feed in feeds:
            if len(feed.token_ids) > DECODE_ROWS and self.mtp is not None:
                hidden = {"hidden_states": feed.hidden}
                self._run_long(self.mtp, feed.slot, feed.token_ids, feed.position, hidden, mute=True)

    def _feed(self, feeds: Sequence[Feed]) -> None:
        if self.mtp is None:
            return
        stretches = [Stretch(feed.slot, len(feed.token_ids), feed.position, 0) for feed in feeds]
        rows = max(stretch.length for stretch in stretches)
        grid = make_grid(stretches, self.slots.end, rows, self._device)
        ids, hidden = torch.cat([feed.token_ids for feed in feeds]), torch.cat([feed.hidden for feed in feeds])
        self.mtp.run("decode", grid, {"token_ids": ids, "hidden_states": hidden}, states_only=True)

    def _drafting(self, tokens: Sequence[DraftToken]) -> tuple[GraphRunner, list[Slot[SlotHidden]]]:
        slots = self.slots.drafting(tokens)
        if self.mtp is None:
            raise StepError("this engine has no MTP head")
        return self.mtp, slots

    def _logits(self, runner: GraphRunner, hidden: Tensor) -> Float32:
        if not len(hidden):
            return np.zeros((0, self._budget.vocab_size), np.float32)
        return _to_numpy(runner.logits(hidden))


def _to_numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().cpu().numpy())

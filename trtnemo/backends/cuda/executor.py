"""The Executor protocol on a GPU, or over interpreted kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.cuda.attention import Reach
from trtnemo.backends.cuda.forms import FORMS, Room, State, Step
from trtnemo.backends.cuda.program import Watch, run_graph, uses_of
from trtnemo.backends.cuda.values import Computed, Value
from trtnemo.backends.cuda.weights import Weights
from trtnemo.backends.executor import Budget, DraftToken, Snapshot
from trtnemo.backends.feeds import Feed, SlotHidden, feed_of
from trtnemo.backends.slots import Slot, SlotBook, SlotSnapshot
from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult
from trtnemo.errors import EngineError, StepError
from trtnemo.graph import Graph
from trtnemo.kernels.launch import Launcher
from trtnemo.kernels.segments import WIDTH

FEW_TOKENS = 8  # of a segment that the kernels for decoding and verification take
_NO_ROWS = torch.empty(0, dtype=torch.int64)


@dataclass
class SlotData(SlotHidden):
    """What a slot holds beside the states on the device.

    replay: committed tokens that the recurrent states do not hold yet.
    """

    replay: int = 0


@dataclass(frozen=True)
class DeviceCopy:
    """A slot's states, on the device."""

    states: dict[str, tuple[Tensor, ...]]
    last: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for parts in self.states.values() for part in parts)

    def swap_out(self) -> None:
        """Do nothing: a copied state shares nothing."""


class CudaExecutor:
    """Runs a target graph, and the MTP graph where there is one; what commits accept is taken in by the next step."""

    def __init__(
        self, target: Graph, mtp: Graph | None, weights: Weights, budget: Budget, launch: Launcher, room: Room
    ) -> None:
        self.target, self.mtp, self.weights = target, mtp, weights
        self.launch, self.room = launch, room
        self._budget = budget
        self.slots: SlotBook[SlotData] = SlotBook(budget, SlotData, has_mtp=mtp is not None)
        self.states = _states(target, room) | ({} if mtp is None else _states(mtp, room))
        self._uses = {graph.name: uses_of(graph) for graph in (target, mtp) if graph is not None}
        self._feeds: dict[int, list[Feed]] = {}
        self._waiting = 0  # tokens of all feeds
        self.watch: Watch | None = None

    @property
    def computes_here(self) -> bool:
        """Whether kernels are interpreted, not run on a device."""
        return self.launch.device.type == "cpu"

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        return self._budget

    @torch.inference_mode()
    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed.

        Raises EngineError where a logit is no number; the step's slots are empty then.
        """
        self.slots.check(batch)
        if any(segment.speculative and segment.length > FEW_TOKENS for segment in batch.segments):
            raise StepError(f"more than {FEW_TOKENS} tokens cannot be verified at once")
        slots = [self.slots.open(segment.slot) for segment in batch.segments]
        self._fold([segment.slot for segment in batch.segments if segment.length > FEW_TOKENS])
        ids = torch.from_numpy(batch.token_ids).to(self.launch.device)
        replays = [slot.data.replay for slot in slots]
        outputs = self.run(
            self.target, batch.segments, replays, ids, {}, torch.from_numpy(batch.logit_rows), self.watch
        )
        logits, hidden = _to_numpy(outputs["logits"].rows()), outputs["hidden_states"].rows()
        if not np.isfinite(logits).all():
            for segment in batch.segments:
                self.release(segment.slot)
            raise EngineError("a step gave logits that are no numbers; its sequences are dropped")
        for segment, slot in zip(batch.segments, slots, strict=True):
            self._keep(segment, slot, ids[segment.rows], hidden[segment.rows])
        rows = torch.from_numpy(batch.hidden_rows).to(self.launch.device)
        return StepResult(logits, _to_numpy(hidden[rows]))

    @torch.inference_mode()
    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        slots = self.slots.drafting(tokens)
        mtp = self._require_mtp()
        self._settle()
        starts = [slot.data.drafted if slot.drafted else slot.data.last for slot in slots]
        hidden = torch.stack([start for start in starts if start is not None])
        segments = [
            Segment(token.slot, row, 1, slot.draft_position)
            for row, (token, slot) in enumerate(zip(tokens, slots, strict=True))
        ]
        ids = torch.tensor([token.token_id for token in tokens], device=self.launch.device)
        outputs = self.run(
            mtp, segments, [0] * len(slots), ids, {"hidden_states": hidden}, torch.arange(len(tokens)), self.watch
        )
        for slot, row in zip(slots, outputs["hidden_states"].rows(), strict=True):
            slot.data.drafted = row
            slot.drafted += 1
        return _to_numpy(outputs["logits"].rows())

    @torch.inference_mode()
    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        standing = self.slots.verifying(slot, accepted)
        data = standing.data
        ids, hidden = data.pending_ids, data.pending
        data.pending_ids = data.pending = None
        if accepted and ids is not None and hidden is not None:
            data.replay = accepted
            self._feed_later(slot, standing, ids[:accepted], hidden[:accepted])
        self.slots.commit(slot, accepted)

    @torch.inference_mode()
    def snapshot(self, slot: int) -> SlotSnapshot:
        """Return a copy of the slot's state at its last commit."""
        standing = self.slots.standing(slot)
        self._settle()
        self._fold([slot])
        states = {name: state.copy(slot, standing.length) for name, state in self.states.items()}
        return self.slots.snapshot(slot, DeviceCopy(states, standing.data.last))

    @torch.inference_mode()
    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        copy: DeviceCopy = self.slots.restoring(slot, snapshot)
        self.release(slot)
        for name, parts in copy.states.items():
            self.states[name].put(slot, parts, snapshot.length)
        self.slots.restore(slot, snapshot, SlotData(last=copy.last))

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        self.slots.release(slot)
        self._waiting -= sum(len(feed.token_ids) for feed in self._feeds.pop(slot, []))

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return True: every slot has room for the longest sequence."""
        return True

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return True, for the same reason."""
        return True

    def run(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        replays: Sequence[int],
        ids: Tensor,
        inputs: dict[str, Tensor],
        logit_rows: Tensor,
        watch: Watch | None = None,
    ) -> dict[str, Value]:
        """Return a graph's outputs over a step's segments, not computed yet; states move at once."""
        given = {"token_ids": ids, "logit_rows": logit_rows.to(self.launch.device), **inputs}
        return run_graph(graph, self._step(graph, segments, replays), given, watch)

    def _step(self, graph: Graph, segments: Sequence[Segment], replays: Sequence[int]) -> Step:
        """Return what kernels read of a step: few and many tokens apart, told to the device at once."""
        parts: tuple[list[list[int]], list[list[int]]] = ([], [])
        reaches = [Reach(0, 0), Reach(0, 0)]
        for segment, replay in zip(segments, replays, strict=True):
            kind = int(segment.length > FEW_TOKENS)
            stays = int(segment.speculative)
            about = [segment.slot, segment.start, segment.length, segment.position, replay, stays, 0, 0]
            parts[kind].append(about)
            before = reaches[kind]
            keys = segment.position + segment.length
            reaches[kind] = Reach(max(before.tokens, segment.length), max(before.keys, keys))
        table = torch.tensor([*parts[0], *parts[1]], dtype=torch.int32).reshape(-1, WIDTH).to(self.launch.device)
        few, many = table[: len(parts[0])], table[len(parts[0]) :]
        uses = self._uses[graph.name]
        both = (reaches[0], reaches[1])
        return Step(self.launch, self.weights, self.room, self.states, few, many, both, uses, graph.name)

    def _keep(self, segment: Segment, slot: Slot[SlotData], ids: Tensor, hidden: Tensor) -> None:
        slot.data.replay = 0
        if segment.speculative:
            slot.data.pending_ids, slot.data.pending = ids, hidden
        else:
            self._feed_later(segment.slot, slot, ids, hidden)
        self.slots.take(segment)

    def _feed_later(self, number: int, slot: Slot[SlotData], ids: Tensor, hidden: Tensor) -> None:
        """Note what the MTP cache has to take in of tokens that are about to be counted in."""
        feed = None if self.mtp is None else feed_of(number, slot.data.last, slot.length, ids, hidden)
        if feed is not None:
            if self._waiting + len(feed.token_ids) > self._budget.max_num_tokens:
                self._settle()
            self._feeds.setdefault(number, []).append(feed)
            self._waiting += len(feed.token_ids)
        slot.data.last = hidden[-1].clone()

    def _settle(self) -> None:
        """Let the MTP cache take in what commits left to it: one run, in which a slot's feeds are one segment."""
        feeds, self._feeds, self._waiting = self._feeds, {}, 0
        if not feeds:
            return
        segments, start = [], 0
        for slot, waiting in feeds.items():
            length = sum(len(feed.token_ids) for feed in waiting)
            segments.append(Segment(slot, start, length, waiting[0].position))  # each begins where the last ended
            start += length
        every = [feed for waiting in feeds.values() for feed in waiting]
        ids, hidden = torch.cat([feed.token_ids for feed in every]), torch.cat([feed.hidden for feed in every])
        self.run(self._require_mtp(), segments, [0] * len(segments), ids, {"hidden_states": hidden}, _NO_ROWS)

    def _fold(self, slots: Sequence[int]) -> None:
        """Take accepted tokens into the recurrent states of slots now, for what reads the states alone."""
        waiting = [slot for slot in slots if slot in self.slots and self.slots[slot].data.replay]
        if not waiting:
            return
        segments = [Segment(slot, 0, 0, self.slots[slot].length) for slot in waiting]
        self.replay(segments, [self.slots[slot].data.replay for slot in waiting])
        for slot in waiting:
            self.slots[slot].data.replay = 0

    def replay(self, segments: Sequence[Segment], replays: Sequence[int]) -> None:
        """Take the last tokens before empty segments into the recurrent states."""
        step = self._step(self.target, segments, replays)
        for node in self.target.nodes:
            form = FORMS.find(node)
            if form.fold is not None:
                form.fold(node.op, node, step)

    @staticmethod
    def given(rows: Tensor) -> Value:
        """Return numbers as a value of a step, for a watch."""
        return Computed(rows)

    def _require_mtp(self) -> Graph:
        if self.mtp is None:
            raise StepError("this engine has no MTP head")
        return self.mtp


def _states(graph: Graph, room: Room) -> dict[str, State]:
    made = {}
    for node in graph.nodes:
        form = FORMS.find(node)
        if form.state is not None:
            made[node.name] = form.state(node.op, room)
    return made


def _to_numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().cpu().numpy())

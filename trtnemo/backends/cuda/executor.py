"""The Executor protocol on a GPU, or over interpreted kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.cuda.errors import on_device
from trtnemo.backends.cuda.forms import Room
from trtnemo.backends.cuda.snapshots import DeviceCopy
from trtnemo.backends.cuda.steps.draw import NO_NUMBER
from trtnemo.backends.cuda.steps.feeds import WaitingFeeds
from trtnemo.backends.cuda.steps.frame import Frames, Outputs
from trtnemo.backends.cuda.steps.head import DraftHead
from trtnemo.backends.cuda.steps.run import FEW_TOKENS, Runner
from trtnemo.backends.cuda.steps.target import TargetSteps
from trtnemo.backends.cuda.values import Computed, Value
from trtnemo.backends.cuda.weights import Weights
from trtnemo.backends.draw import Draw, Proposal
from trtnemo.backends.executor import Budget, DraftToken, Snapshot
from trtnemo.backends.feeds import SlotHidden, feed_of
from trtnemo.backends.slots import Slot, SlotBook, SlotSnapshot
from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult, TokenIds, ends_of
from trtnemo.errors import StepError
from trtnemo.graph import Graph
from trtnemo.kernels.launch import Launcher

_NO_ROWS = torch.empty(0, dtype=torch.int64)


@dataclass
class SlotData(SlotHidden):
    """What a slot holds beside the states on the device.

    stored: tokens that the recurrent states hold; those behind them are replayed from the inputs kept.
    """

    stored: int = 0


class CudaExecutor:
    """Runs a target graph, and the MTP graph where there is one; what commits accept is taken in by the next step.

    Steps of few tokens are captured once for each shape, and replayed.
    """

    def __init__(
        self, target: Graph, mtp: Graph | None, weights: Weights, budget: Budget, launch: Launcher, room: Room
    ) -> None:
        self.target, self.mtp = target, mtp
        self._budget = budget
        self.slots: SlotBook[SlotData] = SlotBook(budget, SlotData, has_mtp=mtp is not None)
        self.runner = Runner([graph for graph in (target, mtp) if graph is not None], weights, launch, room)
        self._pages, self._every = room.pages, room.every
        frames = Frames(self.runner)
        self._steps = TargetSteps(self.runner, target, frames)
        self._head = None if mtp is None else DraftHead(self.runner, mtp, frames)
        self._feeds = WaitingFeeds()
        self._captured = frames
        self.stages: list[tuple[str, float]] = []  # of loading, with seconds

    @property
    def device(self) -> torch.device:
        """Where states lie."""
        return self.runner.launch.device

    @property
    def computes_here(self) -> bool:
        """Whether kernels are interpreted, not run on a device."""
        return self.device.type == "cpu"

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        return self._budget

    @on_device
    def prepare(self) -> int:
        """Capture the steps that decode and verify, so that no request waits for it; return how many."""
        return self._captured.prepare(self._budget.slots, self._budget.max_draft_tokens)

    @property
    def total_pages(self) -> int:
        """Pages of KV cache."""
        return self._pages.total

    @property
    def free_pages(self) -> int:
        """Pages that no sequence and no snapshot holds."""
        return self._pages.free

    @on_device
    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed.

        Slots whose logits are no numbers are empty then, and named in the result.
        """
        self.slots.check(batch)
        if any(segment.speculative and segment.length > FEW_TOKENS for segment in batch.segments):
            raise StepError(f"more than {FEW_TOKENS} tokens cannot be verified at once")
        self._pages.reserve(ends_of(batch.segments))
        slots = [self.slots.open(segment.slot) for segment in batch.segments]
        self._fold([segment.slot for segment in batch.segments if segment.length > FEW_TOKENS])
        replays = [slot.length - slot.data.stored for slot in slots]
        ids = torch.from_numpy(batch.token_ids)
        found = self._steps.run(batch, replays, ids)
        tokens: TokenIds = found.tokens.cpu().numpy()
        broken = batch.slots_of(np.flatnonzero(tokens == NO_NUMBER))
        for segment, slot in zip(batch.segments, slots, strict=True):
            if segment.slot in broken:
                self.release(segment.slot)
            else:
                self._keep(segment, slot, ids[segment.rows], found.hidden[segment.rows])
        hidden = _to_numpy(found.hidden[torch.from_numpy(batch.hidden_rows).to(self.device)])
        if not batch.draws:
            return StepResult(_to_numpy(found.logits), hidden, broken=broken)
        tokens = np.where([draw is not None for draw in batch.draws], tokens, -1)
        left = torch.from_numpy(np.flatnonzero(tokens < 0)).to(self.device)
        return StepResult(_to_numpy(found.logits[left]), hidden, tokens, broken)

    @on_device
    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        return _to_numpy(self._draft(tokens, [None] * len(tokens)).logits)

    @on_device
    def propose(self, proposals: Sequence[Proposal]) -> list[list[int]]:
        """Return each slot's drafts; between them nothing crosses to the host. Raises StepError as `draft` does."""
        found: dict[int, list[int]] = {}
        for count, group in groupby(sorted(proposals, key=_count), key=_count):
            members = list(group)
            if count:
                for member, drafts in zip(members, self._chain(members), strict=True):
                    found[member.slot] = drafts
        return [found.get(proposal.slot, []) for proposal in proposals]

    def _chain(self, members: Sequence[Proposal]) -> list[list[int]]:
        """Return as many drafts of each as it has draws, all of them the same number."""
        further = len(members[0].draws) - 1
        tokens = [DraftToken(member.slot, member.token_id) for member in members]
        steps = [self._draft(tokens, [member.draws[0] for member in members], further)]
        if further:
            slots = {member.slot: self.slots[member.slot] for member in members}
            segments = [
                Segment(number, row, 1, slot.draft_position) for row, (number, slot) in enumerate(slots.items())
            ]
            steps += self._require_head().chain(segments, steps[0], [member.draws[1:] for member in members])
            for slot, hidden in zip(slots.values(), steps[-1].hidden, strict=True):
                slot.data.drafted = hidden
                slot.drafted += further
        drafts: list[list[int]] = torch.stack([step.tokens for step in steps], 1).tolist()
        return drafts

    def _draft(self, tokens: Sequence[DraftToken], draws: Sequence[Draw | None], further: int = 0) -> Outputs:
        """Run the head over a token of each slot, and over what commits left to it of those slots.

        There are pages for `further` drafts then, which end before the longest sequence does.
        """
        slots = self.slots.drafting(tokens)
        head = self._require_head()
        ends = {token.slot: slot.draft_position + 1 + further for token, slot in zip(tokens, slots, strict=True)}
        if any(end > self._budget.max_seq_len for end in ends.values()):
            raise StepError(f"a slot would draft beyond {self._budget.max_seq_len} tokens")
        self._pages.reserve(ends)
        # a watch compares drafts alone
        if self.runner.watch is not None or any(self._feeds.length(token.slot) >= FEW_TOKENS for token in tokens):
            self._settle()
        segments, ids, hidden, start = [], [], [], 0
        for token, slot in zip(tokens, slots, strict=True):
            state = slot.data.drafted if slot.drafted else slot.data.last
            feeds = self._feeds.take(token.slot)
            ids.append(torch.cat([*(feed.token_ids for feed in feeds), torch.tensor([token.token_id])]))
            hidden.append(torch.cat([*(feed.hidden for feed in feeds), *([] if state is None else [state[None]])]))
            position = feeds[0].position if feeds else slot.draft_position
            segments.append(Segment(token.slot, start, len(ids[-1]), position))
            start += len(ids[-1])
        found = head.run(segments, ids, hidden, draws)
        for slot, row in zip(slots, found.hidden, strict=True):
            slot.data.drafted = row
            slot.drafted += 1
        return found

    @on_device
    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        standing = self.slots.verifying(slot, accepted)
        data = standing.data
        ids, hidden = data.pending_ids, data.pending
        data.pending_ids = data.pending = None
        if accepted and ids is not None and hidden is not None:
            self._feed_later(slot, standing, ids[:accepted], hidden[:accepted])
        self.slots.commit(slot, accepted)

    @on_device
    def snapshot(self, slot: int) -> SlotSnapshot:
        """Return a copy of the slot's state at its last commit."""
        standing = self.slots.standing(slot)
        self._settle()
        data = standing.data
        copy = DeviceCopy(self.runner.states, self._pages, slot, standing.length, data.stored, data.last)
        return self.slots.snapshot(slot, copy)

    @on_device
    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        copy: DeviceCopy = self.slots.restoring(slot, snapshot)
        self.release(slot)
        copy.put(slot)
        self.slots.restore(slot, snapshot, SlotData(last=copy.last, stored=copy.stored))

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        self.slots.release(slot)
        self._pages.release(slot)
        self._feeds.take(slot)

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return whether there are pages for the segments, drafts before them included."""
        return self._pages.missing(ends_of(segments)) <= self._pages.free

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return whether there are pages for a snapshot."""
        if not self.slots.is_own(snapshot):
            return True
        copy: DeviceCopy = self.slots.restoring(0, snapshot)
        return copy.pages_to_restore <= self._pages.free

    def _keep(self, segment: Segment, slot: Slot[SlotData], ids: Tensor, hidden: Tensor) -> None:
        whole = segment.position + (0 if segment.speculative else segment.length)
        if segment.length <= FEW_TOKENS:
            whole = whole // self._every * self._every
        slot.data.stored = max(slot.data.stored, whole)
        if segment.speculative:
            slot.data.pending_ids, slot.data.pending = ids, hidden
        else:
            self._feed_later(segment.slot, slot, ids, hidden)
        self.slots.take(segment)

    def _feed_later(self, number: int, slot: Slot[SlotData], ids: Tensor, hidden: Tensor) -> None:
        """Note what the MTP cache has to take in of tokens that are about to be counted in."""
        feed = None if self.mtp is None else feed_of(number, slot.data.last, slot.length, ids, hidden)
        if feed is not None:
            if self._feeds.tokens + len(feed.token_ids) > self._budget.max_num_tokens:
                self._settle()
            self._feeds.add(feed)
        slot.data.last = hidden[-1].clone()

    def _settle(self) -> None:
        """Let the MTP cache take in what commits left to it: one run, in which a slot's feeds are one segment."""
        feeds = self._feeds.take_all()
        if not feeds or self.mtp is None:
            return
        segments, start = [], 0
        for slot, waiting in feeds.items():
            length = sum(len(feed.token_ids) for feed in waiting)
            segments.append(Segment(slot, start, length, waiting[0].position))  # each begins where the last ended
            start += length
        every = [feed for waiting in feeds.values() for feed in waiting]
        ids, hidden = torch.cat([feed.token_ids for feed in every]), torch.cat([feed.hidden for feed in every])
        inputs = {"hidden_states": hidden}
        rows = ids.to(self.device)
        self.runner.run(self.mtp, segments, [0] * len(segments), rows, inputs, _NO_ROWS, watched=False)

    def _fold(self, slots: Sequence[int]) -> None:
        """Take accepted tokens into the recurrent states of slots now, for what reads the states alone."""
        found = {slot: self.slots[slot] for slot in slots}
        waiting = {number: slot for number, slot in found.items() if slot.data.stored < slot.length}
        if not waiting:
            return
        segments = [Segment(number, 0, 0, slot.length) for number, slot in waiting.items()]
        self.runner.replay(segments, [slot.length - slot.data.stored for slot in waiting.values()])
        for slot in waiting.values():
            slot.data.stored = slot.length

    @staticmethod
    def given(rows: Tensor) -> Value:
        """Return numbers as a value of a step, for a watch."""
        return Computed(rows)

    def _require_head(self) -> DraftHead:
        if self._head is None:
            raise StepError("this engine has no MTP head")
        return self._head


def _count(proposal: Proposal) -> int:
    return len(proposal.draws)


def _to_numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().cpu().numpy())

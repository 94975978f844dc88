"""The reference executor: the graph in plain float32 torch, with the whole Executor protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.executor import Budget, DraftToken, Snapshot
from trtnemo.backends.feeds import feed_of
from trtnemo.backends.slots import Slot, SlotBook, SlotSnapshot
from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult
from trtnemo.backends.torch.forms import FORMS, StepContext, single_weight
from trtnemo.backends.torch.program import Watch, run_graph
from trtnemo.backends.torch.state import Pending, SlotState, State
from trtnemo.backends.torch.weights import Weights
from trtnemo.errors import EngineError, StepError
from trtnemo.graph import Graph, Node

_NO_ROWS = torch.empty(0, dtype=torch.int64)


class TorchExecutor:
    """Runs a target graph, and the MTP graph where there is one, over slots of per-sequence state."""

    def __init__(self, target: Graph, mtp: Graph | None, weights: Weights, budget: Budget) -> None:
        self.target = target
        self.mtp = mtp
        self.weights = weights
        self._budget = budget
        self.slots: SlotBook[SlotState] = SlotBook(budget, SlotState, has_mtp=mtp is not None)
        self.watch: Watch | None = None

    @property
    def computes_here(self) -> bool:
        """True: threads of this process compute."""
        return True

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        return self._budget

    @torch.inference_mode()
    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed."""
        self.slots.check(batch)
        slots = [self.slots.open(segment.slot) for segment in batch.segments]
        context = StepContext(self.weights, batch.segments, [slot.data for slot in slots])
        token_ids = torch.from_numpy(batch.token_ids)
        outputs = run_graph(
            self.target, context, {"token_ids": token_ids, "logit_rows": torch.from_numpy(batch.logit_rows)}, self.watch
        )
        hidden = outputs["hidden_states"]
        for segment, slot in zip(batch.segments, slots, strict=True):
            self._keep(context, segment, slot, token_ids[segment.rows], hidden[segment.rows])
        rows = torch.from_numpy(batch.hidden_rows)
        return StepResult(_to_numpy(outputs["logits"]), _to_numpy(hidden[rows]))

    @torch.inference_mode()
    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        slots = self.slots.drafting(tokens)
        hidden = torch.stack([_draft_start(slot) for slot in slots])
        segments = [
            Segment(token.slot, row, 1, slot.draft_position)
            for row, (token, slot) in enumerate(zip(tokens, slots, strict=True))
        ]
        ids = torch.tensor([token.token_id for token in tokens])
        outputs = self._run_mtp(segments, [slot.data for slot in slots], ids, hidden, torch.arange(len(tokens)))
        for slot, row in zip(slots, outputs["hidden_states"], strict=True):
            slot.data.draft_hidden = row
            slot.drafted += 1
        return _to_numpy(outputs["logits"])

    @torch.inference_mode()
    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        standing = self.slots.verifying(slot, accepted)
        state, pending = standing.data, standing.data.pending
        if pending is None:
            raise StepError(f"slot {slot} has no tokens under verification")
        state.pending = None
        for name, rows in pending.kept_rows.items() if accepted else ():
            state.recurrent[name] = self._advanced(
                self.target.by_name[name], rows[:accepted], state.recurrent.get(name)
            )
        self._advance(slot, standing, pending.token_ids[:accepted], pending.hidden_states[:accepted])
        self.slots.commit(slot, accepted)

    def snapshot(self, slot: int) -> SlotSnapshot:
        """Return a copy of the slot's state at its last commit."""
        standing = self.slots.standing(slot)
        return self.slots.snapshot(slot, standing.data.copy(standing.length))

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        copy: SlotState = self.slots.restoring(slot, snapshot)
        self.slots.restore(slot, snapshot, copy.copy(snapshot.length))

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        self.slots.release(slot)

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return True: every slot has room for the longest sequence."""
        return True

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return True, for the same reason."""
        return True

    def _keep(self, context: StepContext, segment: Segment, slot: Slot[SlotState], ids: Tensor, hidden: Tensor) -> None:
        """Store what the step left: at once, or as pending when the segment is under verification."""
        state = slot.data
        if segment.speculative:
            inputs = {node: rows for (number, node), rows in context.kept_rows.items() if number == segment.slot}
            state.pending = Pending(ids, hidden, inputs)
        else:
            mine = {node: after for (number, node), after in context.new_states.items() if number == segment.slot}
            state.recurrent |= mine
            self._advance(segment.slot, slot, ids, hidden)
        self.slots.take(segment)

    def _advance(self, number: int, slot: Slot[SlotState], ids: Tensor, hidden: Tensor) -> None:
        """Rewrite the MTP cache from the target's hidden states, for tokens that are about to be counted in."""
        if len(ids) == 0:
            return
        if self.mtp is not None:
            self._feed_mtp(number, slot, ids, hidden)
        slot.data.last_hidden = hidden[-1].clone()

    def _feed_mtp(self, number: int, slot: Slot[SlotState], ids: Tensor, hidden: Tensor) -> None:
        feed = feed_of(number, slot.data.last_hidden, slot.length, ids, hidden)
        if feed is not None:
            segment = Segment(number, 0, len(feed.token_ids), feed.position)
            self._run_mtp([segment], [slot.data], feed.token_ids, feed.hidden, _NO_ROWS)

    def _run_mtp(
        self, segments: Sequence[Segment], slots: Sequence[SlotState], ids: Tensor, hidden: Tensor, rows: Tensor
    ) -> dict[str, Tensor]:
        if self.mtp is None:
            raise StepError("this engine has no MTP head")
        context = StepContext(self.weights, segments, slots)
        inputs = {"token_ids": ids, "hidden_states": hidden, "logit_rows": rows}
        return run_graph(self.mtp, context, inputs, self.watch)

    def _advanced(self, node: Node, rows: Tensor, before: State | None) -> State:
        form = FORMS.find(node)
        if form.advance is None:
            raise EngineError(f"op '{node.op.kind}' keeps rows and cannot advance", where=node.name)
        parameters = {role: single_weight(self.weights, node, role).values for role in node.parameters}
        return form.advance(node.op, parameters, rows, before)


def _draft_start(slot: Slot[SlotState]) -> Tensor:
    start = slot.data.draft_hidden if slot.drafted else slot.data.last_hidden
    if start is None:
        raise StepError("nothing to draft from")
    return start


def _to_numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().numpy())

"""The reference executor: the graph in plain float32 torch, with the whole Executor protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trtnemo.backends.executor import Budget, DraftToken, Snapshot
from trtnemo.backends.slots import check_accepted, check_slot, check_step
from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult
from trtnemo.backends.torch.ops import StepContext
from trtnemo.backends.torch.program import Watch, run_graph
from trtnemo.backends.torch.state import Pending, SlotState, TorchSnapshot
from trtnemo.backends.torch.weights import Weights
from trtnemo.errors import StepError
from trtnemo.graph import Graph
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.plugins.mamba2.reference import initial_state, mamba2

_NO_ROWS = torch.empty(0, dtype=torch.int64)


class TorchExecutor:
    """Runs a target graph, and the MTP graph where there is one, over slots of per-sequence state."""

    def __init__(self, target: Graph, mtp: Graph | None, weights: Weights, budget: Budget) -> None:
        self.target = target
        self.mtp = mtp
        self.weights = weights
        self._budget = budget
        self.slots: dict[int, SlotState] = {}
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
        check_step(self._budget, batch, self.slots)
        slots = [self.slots.get(segment.slot) or SlotState() for segment in batch.segments]
        context = StepContext(self.weights, batch.segments, slots)
        token_ids = torch.from_numpy(batch.token_ids)
        outputs = run_graph(
            self.target, context, {"token_ids": token_ids, "logit_rows": torch.from_numpy(batch.logit_rows)}, self.watch
        )
        hidden = outputs["hidden_states"]
        for segment, slot in zip(batch.segments, slots, strict=True):
            self.slots[segment.slot] = slot
            self._keep(context, segment, slot, token_ids[segment.rows], hidden[segment.rows])
        rows = torch.from_numpy(batch.hidden_rows)
        return StepResult(_to_numpy(outputs["logits"]), _to_numpy(hidden[rows]))

    @torch.inference_mode()
    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        slots = [self._drafting_slot(token.slot) for token in tokens]
        hidden = torch.stack([_draft_start(slot) for slot in slots])
        segments = [
            Segment(token.slot, row, 1, slot.draft_position)
            for row, (token, slot) in enumerate(zip(tokens, slots, strict=True))
        ]
        ids = torch.tensor([token.token_id for token in tokens])
        outputs = self._run_mtp(segments, slots, ids, hidden, torch.arange(len(tokens)))
        for slot, row in zip(slots, outputs["hidden_states"], strict=True):
            slot.draft_hidden = row
            slot.draft_position += 1
        return _to_numpy(outputs["logits"])

    @torch.inference_mode()
    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        state = self.slots.get(slot)
        if state is None or state.pending is None:
            raise StepError(f"slot {slot} has no tokens under verification")
        pending = state.pending
        check_accepted(accepted, len(pending.token_ids))
        state.pending = None
        for node in self.target.nodes:
            if isinstance(node.op, Mamba2) and accepted:
                parameters = {role: self._single(name) for role, name in node.parameters.items()}
                before = state.mamba.get(node.name) or initial_state(node.op)
                state.mamba[node.name] = mamba2(
                    node.op, pending.mamba_inputs[node.name][:accepted], parameters, before
                )[1]
        self._advance(slot, state, pending.token_ids[:accepted], pending.hidden_states[:accepted])

    def snapshot(self, slot: int) -> TorchSnapshot:
        """Return a copy of the slot's state at its last commit."""
        if slot not in self.slots:
            raise StepError(f"slot {slot} is empty")
        return TorchSnapshot(self.slots[slot].copy())

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        if not isinstance(snapshot, TorchSnapshot):
            raise StepError("the snapshot is another executor's")
        check_slot(self._budget, slot)
        self.slots[slot] = snapshot.state.copy()

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        self.slots.pop(slot, None)

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return True: every slot has room for the longest sequence."""
        return True

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return True, for the same reason."""
        return True

    def _keep(self, context: StepContext, segment: Segment, state: SlotState, ids: Tensor, hidden: Tensor) -> None:
        """Store what the step left: at once, or as pending when the segment is under verification."""
        mine = {node: after for (slot, node), after in context.new_mamba.items() if slot == segment.slot}
        state.draft_hidden = None
        if segment.speculative:
            inputs = {node: rows for (slot, node), rows in context.mamba_inputs.items() if slot == segment.slot}
            state.pending = Pending(ids, hidden, inputs)
            return
        state.mamba.update(mine)
        self._advance(segment.slot, state, ids, hidden)

    def _advance(self, slot: int, state: SlotState, ids: Tensor, hidden: Tensor) -> None:
        """Count committed tokens in, and rewrite the MTP cache from the target's hidden states."""
        if len(ids) == 0:
            return
        if self.mtp is not None:
            self._feed_mtp(slot, state, ids, hidden)
        state.last_hidden = hidden[-1].clone()
        state.length += len(ids)
        state.draft_hidden = None

    def _feed_mtp(self, slot: int, state: SlotState, ids: Tensor, hidden: Tensor) -> None:
        """Entry t of the MTP cache pairs the hidden state of token t with token t+1, so it lags by one."""
        if state.last_hidden is None:
            paired, ids, position = hidden[:-1], ids[1:], 0
        else:
            paired, position = torch.cat([state.last_hidden[None], hidden[:-1]]), state.length - 1
        if len(ids):
            self._run_mtp([Segment(slot, 0, len(ids), position)], [state], ids, paired, _NO_ROWS)

    def _run_mtp(
        self, segments: Sequence[Segment], slots: Sequence[SlotState], ids: Tensor, hidden: Tensor, rows: Tensor
    ) -> dict[str, Tensor]:
        if self.mtp is None:
            raise StepError("this engine has no MTP head")
        context = StepContext(self.weights, segments, slots)
        inputs = {"token_ids": ids, "hidden_states": hidden, "logit_rows": rows}
        return run_graph(self.mtp, context, inputs, self.watch)

    def _drafting_slot(self, slot: int) -> SlotState:
        state = self.slots.get(slot)
        if self.mtp is None or state is None or state.last_hidden is None or state.pending is not None:
            raise StepError(
                f"slot {slot} cannot draft: it needs an MTP head, a committed token and no open verification"
            )
        if state.draft_hidden is None:
            state.draft_position = state.length - 1
        return state

    def _single(self, name: str) -> Tensor:
        weight = self.weights[name]
        if isinstance(weight, tuple):
            raise StepError(f"{name} is a bank, not one weight")
        return weight.values


def _draft_start(state: SlotState) -> Tensor:
    start = state.last_hidden if state.draft_hidden is None else state.draft_hidden
    if start is None:
        raise StepError("nothing to draft from")
    return start


def _to_numpy(tensor: Tensor) -> Float32:
    return np.ascontiguousarray(tensor.float().numpy())

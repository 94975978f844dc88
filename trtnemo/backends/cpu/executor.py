"""The native executor behind the Executor protocol: checks here, whole steps in C++."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trtnemo.backends.cpu.mapping import ask_for_huge_pages, lock_weights
from trtnemo.backends.cpu.memory import require_memory
from trtnemo.backends.cpu.native_copy import NativeCopy
from trtnemo.backends.cpu.packed import WEIGHTS, PackedIndex
from trtnemo.backends.cpu.precision import Precision
from trtnemo.backends.cpu.program import add_graph
from trtnemo.backends.draw import Draw, Proposal
from trtnemo.backends.executor import Budget, DraftToken, Snapshot
from trtnemo.backends.portable import SnapshotForm
from trtnemo.backends.slots import SlotBook, SlotSnapshot
from trtnemo.backends.step import Float32, Segment, StepBatch, StepResult
from trtnemo.errors import MachineError, StepError
from trtnemo.graph import Graph
from trtnemo.graph.ops import Attention
from trtnemo.native import choose_kernels, require_native

_NO_NUMBER = -2  # native/cpu/executor/sampling.hpp
_NO_PAGE = "no page of the KV cache is free"
_NO_PAGE_REMEDY = "Release a sequence or a snapshot"


@dataclass(frozen=True)
class CpuOptions:
    """How the native executor runs: threads, element types, and tokens of KV cache over all sequences and snapshots.

    lock_memory: weights are read at once and stay in memory; huge_pages: they are asked for under the weights.
    """

    threads: int
    kv_tokens: int
    precision: Precision = field(default_factory=Precision)
    lock_memory: bool = False
    huge_pages: bool = False


class CpuExecutor:
    """Runs packed graphs over slots of per-sequence state; a token's bits depend on its sequence alone."""

    def __init__(
        self,
        directory: Path,
        index: PackedIndex,
        target: Graph,
        mtp: Graph | None,
        budget: Budget,
        options: CpuOptions,
    ) -> None:
        self.target = target
        self.mtp = mtp
        self.kernels = choose_kernels()
        self.threads = options.threads
        self.precision = options.precision
        self.slots: SlotBook[None] = SlotBook(budget, lambda: None, has_mtp=mtp is not None)
        self._budget = budget
        native = require_native()
        graphs = [graph for graph in (target, mtp) if graph is not None]
        layers = [node.op for graph in graphs for node in graph.nodes if isinstance(node.op, Attention)]
        heads, head_dim = _one_shape(layers)
        require_memory(graphs, budget, options.kv_tokens, options.precision)
        try:
            self._executor: Any = native.Executor(
                weights=str(directory / WEIGHTS),
                kernels=self.kernels,
                slots=budget.slots,
                threads=options.threads,
                pages=_pages(options.kv_tokens, native.PAGE_TOKENS),
                layers=len(layers),
                kv_heads=heads,
                head_dim=head_dim,
                cache=options.precision.kv_cache,
            )
        except (MemoryError, RuntimeError) as error:
            raise MachineError(
                f"the CPU runtime cannot start here: {error}", remedy="Lower cpu.threads, limits or cpu.kv_tokens"
            ) from None
        if options.huge_pages:
            ask_for_huge_pages(self._executor)  # before anything is read into small ones
        if options.lock_memory:
            lock_weights(self._executor)
        counted = add_graph(self._executor.target(), target, index, options.precision)
        if mtp is not None:
            add_graph(self._executor.add_mtp(), mtp, index, options.precision, first_layer=counted)
        self._executor.open_slots()

    @property
    def computes_here(self) -> bool:
        """True: threads of this process compute."""
        return True

    @property
    def budget(self) -> Budget:
        """What there is room for."""
        return self._budget

    @property
    def free_pages(self) -> int:
        """Pages of KV cache that nobody holds."""
        return int(self._executor.free_pages)

    @property
    def total_pages(self) -> int:
        """Pages of KV cache in all."""
        return int(self._executor.total_pages)

    def times_ops(self, on: bool) -> None:
        """Time every op of the steps that follow, or no longer."""
        self._executor.times_ops = on

    def seconds(self) -> list[float]:
        """Return the seconds that each node of the target graph took while ops were timed."""
        seconds: list[float] = self._executor.seconds()
        return seconds

    def forward(self, batch: StepBatch) -> StepResult:
        """Run one ragged step; raises StepError before any state has changed."""
        self.slots.check(batch)
        segments = _segment_table(batch.segments)
        draws = [None if draw is None else _words(draw) for draw in batch.draws]
        try:
            logits, hidden, tokens = self._executor.forward(
                batch.token_ids, segments, batch.logit_rows, batch.hidden_rows, draws
            )
        except RuntimeError as error:
            raise StepError(str(error), remedy=_NO_PAGE_REMEDY) from error
        for segment in batch.segments:
            self.slots.take(segment)
        if not draws:
            return StepResult(logits, hidden)
        broken = np.flatnonzero(tokens == _NO_NUMBER)
        if not len(broken):
            return StepResult(logits, hidden, tokens)
        tokens[broken] = 0  # nobody reads them
        return StepResult(logits, hidden, tokens, batch.slots_of(broken))

    def propose(self, proposals: Sequence[Proposal]) -> list[list[int]]:
        """Return each slot's drafts, drawn natively one after another; raises StepError as `draft` does."""
        slots = self.slots.drafting([DraftToken(proposal.slot, proposal.token_id) for proposal in proposals])
        for slot, proposal in zip(slots, proposals, strict=True):
            if slot.draft_position + len(proposal.draws) > self._budget.max_seq_len:
                raise StepError(f"slot {proposal.slot} would draft beyond {self._budget.max_seq_len} tokens")
        words = [(each.slot, each.token_id, [_words(draw) for draw in each.draws]) for each in proposals]
        try:
            drafts: list[list[int]] = self._executor.propose(words)
        except RuntimeError as error:
            raise StepError(str(error), remedy=_NO_PAGE_REMEDY) from error
        for slot, found in zip(slots, drafts, strict=True):
            slot.drafted += len(found)
        return drafts

    def draft(self, tokens: Sequence[DraftToken]) -> Float32:
        """Return draft logits [n, vocabulary]; raises StepError without an MTP head or a committed token."""
        slots = self.slots.drafting(tokens)
        table = np.array([(token.slot, token.token_id) for token in tokens], np.int64).reshape(-1, 2)
        try:
            logits: Float32 = self._executor.draft(table)
        except RuntimeError as error:
            raise StepError(str(error), remedy=_NO_PAGE_REMEDY) from error
        for slot in slots:
            slot.drafted += 1
        return logits

    def commit(self, slot: int, accepted: int) -> None:
        """Accept the first tokens of the slot's speculative segment; raises StepError when there is none."""
        self.slots.verifying(slot, accepted)
        self._executor.commit(slot, accepted)
        self.slots.commit(slot, accepted)

    def snapshot(self, slot: int) -> SlotSnapshot:
        """Return the slot's state at its last commit; full KV pages are shared, not copied."""
        self.slots.standing(slot)
        return self.slots.snapshot(slot, NativeCopy(self._executor.snapshot(slot), self._executor.page_bytes))

    @property
    def form(self) -> SnapshotForm:
        """What the bytes of all snapshots have in common."""
        precision, native = self.precision, self._executor
        return SnapshotForm(
            state_bytes=int(native.state_bytes),
            row_bytes=int(native.row_bytes),
            page_bytes=int(native.page_bytes),
            page_tokens=int(require_native().PAGE_TOKENS),
            has_mtp=self.mtp is not None,
            details=(precision.activations, precision.kv_cache, precision.ssm_state),
        )

    def snapshot_state(self, slot: int) -> SlotSnapshot:
        """Return the slot's state at its last commit without its pages."""
        self.slots.standing(slot)
        return self.slots.snapshot(slot, NativeCopy(self._executor.snapshot(slot, False), 0))

    def blank_snapshot(self, length: int, unfed: Sequence[int]) -> SlotSnapshot:
        """Return a snapshot that is to be filled; raises StepError where no pages are free."""
        try:
            native = self._executor.blank_snapshot(length, np.asarray(unfed, np.int64))
        except RuntimeError as error:
            raise StepError(str(error), remedy=_NO_PAGE_REMEDY) from error
        return self.slots.made(length, NativeCopy(native, self._executor.page_bytes))

    def pieces(self, snapshot: Snapshot) -> NativeCopy:
        """Return the bytes of a snapshot of this executor."""
        copy: NativeCopy = self.slots.copy_of(snapshot)
        return copy

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Give the slot the snapshot's state."""
        copy: NativeCopy = self.slots.restoring(slot, snapshot)
        if not self.can_restore(snapshot):
            raise StepError(_NO_PAGE, remedy=_NO_PAGE_REMEDY)
        self._executor.restore(slot, copy.native)
        self.slots.restore(slot, snapshot, None)

    def release(self, slot: int) -> None:
        """Forget the slot's sequence."""
        if self.slots.release(slot):
            self._executor.release(slot)

    def has_room(self, segments: Sequence[Segment]) -> bool:
        """Return whether there are pages for the segments."""
        return int(self._executor.missing_pages(_segment_table(segments))) <= self.free_pages

    def can_restore(self, snapshot: Snapshot) -> bool:
        """Return whether there are pages for a swapped-out snapshot; any other brings its own."""
        copy = snapshot.copy if isinstance(snapshot, SlotSnapshot) else None
        return not isinstance(copy, NativeCopy) or copy.native.pages_to_restore <= self.free_pages


def _words(draw: Draw) -> tuple[float, int, float, float, int, int]:
    return draw.temperature, draw.top_k, draw.top_p, draw.min_p, draw.seed, draw.place


def _segment_table(segments: Sequence[Segment]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    rows = [(part.slot, part.length, part.position, part.speculative) for part in segments]
    return np.array(rows, np.int64).reshape(-1, 4)


def _one_shape(layers: list[Attention]) -> tuple[int, int]:
    shapes = {(layer.kv_heads, layer.head_dim) for layer in layers}
    if len(shapes) > 1:
        raise MachineError("attention layers of several shapes have no native form", remedy="Use the torch lowering")
    return shapes.pop() if shapes else (0, 0)


def _pages(tokens: int, page_tokens: int) -> int:
    return -(-tokens // page_tokens)

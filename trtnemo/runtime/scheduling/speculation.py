"""Drafts from the checkpoint's MTP head, for all sequences that decode, one token of each at a time."""

from __future__ import annotations

from collections.abc import Sequence as Items

from trtnemo.backends import DraftToken, Drawer, Executor, Proposal, Segment
from trtnemo.runtime.scheduling.sequence import Sequence


def write_drafts(executor: Executor, drawer: Drawer | None, plan: Items[tuple[Sequence, int]]) -> None:
    """Give each sequence its planned number of drafts; the head reads the last sampled token, then its own drafts.

    drawer: the executor, where it draws tokens itself.
    """
    for sequence, _ in plan:
        sequence.drafts = []
    if drawer is not None and plan:
        _propose(drawer, plan)
    while True:
        drafting = [sequence for sequence, count in plan if len(sequence.drafts) < count]
        if not drafting:
            return
        logits = executor.draft([DraftToken(sequence.slot, _last_token(sequence)) for sequence in drafting])
        for sequence, row in zip(drafting, logits, strict=True):
            sequence.drafts.append(sequence.sampler.draft(row, len(sequence.drafts)))


def _propose(executor: Drawer, plan: Items[tuple[Sequence, int]]) -> None:
    """Give sequences their drafts whose tokens the executor can draw."""
    proposals, drafting = [], []
    for sequence, count in plan:
        draws = tuple(draw for ahead in range(count) if (draw := sequence.sampler.drawn_at(ahead)) is not None)
        if len(draws) == count:
            proposals.append(Proposal(sequence.slot, sequence.tokens[-1], draws))
            drafting.append(sequence)
    if proposals:
        for sequence, drafts in zip(drafting, executor.propose(proposals), strict=True):
            sequence.drafts = drafts


def draft_segment(sequence: Sequence, count: int) -> Segment:
    """Return the segment that will verify so many drafts, before they are written."""
    return Segment(sequence.slot, 0, 1 + count, sequence.position, speculative=True)


def _last_token(sequence: Sequence) -> int:
    return sequence.drafts[-1] if sequence.drafts else sequence.tokens[-1]

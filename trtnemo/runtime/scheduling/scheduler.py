"""Which tokens run in the next step: every decoding sequence, then chunks of all prompts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from trtnemo.backends import Budget, Draw, Segment, StepBatch
from trtnemo.runtime.scheduling.prompt_share import PromptShare
from trtnemo.runtime.scheduling.sequence import Sequence

# Chunks end at multiples of this where they can, so that prompts with one prefix are cut alike.
CHUNK_UNIT = 128


@dataclass(frozen=True)
class ScheduledStep:
    """A step batch, the sequence of each segment, and how many logit rows each segment asked for."""

    batch: StepBatch
    sequences: tuple[Sequence, ...]
    logit_counts: tuple[int, ...]
    prompt_tokens: int = 0


class Scheduler:
    """Continuous batching with chunked prefill over an executor's slots; `draws`: whether it draws tokens itself."""

    def __init__(self, budget: Budget, draft_tokens: int = 0, *, draws: bool = False) -> None:
        self.budget = budget
        self._draws = draws
        self.draft_tokens = min(draft_tokens, budget.max_draft_tokens)
        self.waiting: deque[Sequence] = deque()
        self.running: dict[str, Sequence] = {}
        self._free_slots = list(range(budget.slots - 1, -1, -1))
        self.prompt_share = PromptShare(budget.max_num_tokens)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence, behind those that wait with the same priority or a lower one."""
        priority = sequence.request.params.priority
        place = len(self.waiting)
        while place and self.waiting[place - 1].request.params.priority > priority:
            place -= 1
        self.waiting.insert(place, sequence)

    def remove(self, request_id: str) -> Sequence | None:
        """Forget a sequence and return it; its slot is free again, after the executor released it."""
        sequence = self.running.pop(request_id, None)
        if sequence is not None:
            self._free_slots.append(sequence.slot)
            return sequence
        for waiting in self.waiting:
            if waiting.id == request_id:
                self.waiting.remove(waiting)
                return waiting
        return None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to run."""
        return not self.waiting and not self.running

    def plan_drafts(self, most: int | None = None) -> list[tuple[Sequence, int]]:
        """Return who drafts before the next step, and how many tokens: as many as that step can verify."""
        decoding = self.decoding()
        wanted = self.draft_tokens if most is None else min(most, self.draft_tokens)
        if not wanted or not decoding:
            return []
        share = min(wanted, self.room_for_drafts(len(decoding)))
        planned = [(sequence, min(share, sequence.room_for_drafts)) for sequence in decoding]
        return [(sequence, count) for sequence, count in planned if count > 0]

    def room_for_drafts(self, sequences: int) -> int:
        """Return how many drafts of each of so many sequences one step can verify, half of it left to prompts."""
        has_prompts = any(not sequence.is_decoding for sequence in self.running.values())
        tokens = self.budget.max_num_tokens // 2 if has_prompts else self.budget.max_num_tokens
        return max(0, tokens // sequences - 1)

    def decoding(self) -> list[Sequence]:
        """Return the sequences whose prompt is done."""
        return [sequence for sequence in self.running.values() if sequence.is_decoding]

    def next_step(self) -> ScheduledStep | None:
        """Return the next step, or None when there is nothing to run.

        Decoding sequences go first. What room they leave is shared among the prompts, so that a short one does not wait
        for a long one that came before it; beside decoding sequences prompts have no more than keeps the step short.
        """
        prompts = [sequence for sequence in self.running.values() if not sequence.is_decoding]
        room, chosen = self.budget.max_num_tokens, []
        for sequence in self.decoding():
            length = min(sequence.uncomputed + len(sequence.drafts), room)
            if length:
                chosen.append((sequence, length))
                room -= length
        if chosen:
            room = min(room, self.prompt_share.tokens())
        for place, sequence in enumerate(sorted(prompts, key=lambda item: item.uncomputed)):
            length = _chunk(sequence, room // (len(prompts) - place))
            if length:
                chosen.append((sequence, length))
                room -= length
        return _assemble(chosen, self._draws) if chosen else None

    def next_waiting(self) -> Sequence | None:
        """Return who is to be admitted next, or None without a free slot."""
        return self.waiting[0] if self.waiting and self._free_slots else None

    def admit(self, sequence: Sequence) -> None:
        """Give the first of those who wait a slot."""
        self.waiting.remove(sequence)
        sequence.slot = self._free_slots.pop()
        self.running[sequence.id] = sequence

    def youngest(self) -> Sequence | None:
        """Return the sequence that was admitted last, unless it is the only one."""
        return list(self.running.values())[-1] if len(self.running) > 1 else None

    def preempt(self, sequence: Sequence) -> None:
        """Take a sequence's slot; it waits before all others."""
        del self.running[sequence.id]
        self._free_slots.append(sequence.slot)
        sequence.slot, sequence.drafts = -1, []
        self.waiting.appendleft(sequence)


def _chunk(sequence: Sequence, room: int) -> int:
    """Return how much of a prompt runs now: to its end, to where its state is kept, or to a round number of tokens."""
    length = min(sequence.uncomputed, room)
    end = sequence.position + length
    kept_end = sequence.request.kept_end
    if sequence.position < kept_end < end:
        return kept_end - sequence.position
    if length < sequence.uncomputed and end // CHUNK_UNIT * CHUNK_UNIT > sequence.position:
        return end // CHUNK_UNIT * CHUNK_UNIT - sequence.position
    return length


def _assemble(chosen: list[tuple[Sequence, int]], draws: bool) -> ScheduledStep:
    tokens: list[int] = []
    rows: list[int] = []
    segments, counts = [], []
    told: list[Draw | None] = []
    for sequence, length in chosen:
        start, end = len(tokens), sequence.position + length
        segments.append(Segment(sequence.slot, start, length, sequence.position, speculative=bool(sequence.drafts)))
        tokens.extend((sequence.tokens[sequence.position :] + sequence.drafts)[:length])
        scores_prompt = sequence.wants_prompt_logits and not sequence.is_decoding
        every = scores_prompt or bool(sequence.drafts)
        wanted = range(start, start + length) if every else range(start + length - 1, start + length)
        if not every and end < len(sequence.tokens):
            wanted = range(0)  # a chunk in the middle of a prompt yields nothing
        rows.extend(wanted)
        counts.append(len(wanted))
        if draws:
            told.extend(None if scores_prompt else sequence.drawn_at(ahead) for ahead in range(len(wanted)))
    ids, wanted_rows = np.asarray(tokens, np.int64), np.asarray(rows, np.int64)
    batch = StepBatch(ids, tuple(segments), wanted_rows, np.empty(0, np.int64), tuple(told))
    prompt_tokens = sum(length for sequence, length in chosen if not sequence.is_decoding)
    return ScheduledStep(batch, tuple(sequence for sequence, _ in chosen), tuple(counts), prompt_tokens)

"""Which sequences have a slot and KV cache, and where they start: prefix reuse, preemption, room for a step."""

from __future__ import annotations

from collections.abc import Sequence as Items

from trtnemo.backends import Executor, Segment
from trtnemo.runtime.scheduling.prefix_cache import PrefixCache
from trtnemo.runtime.scheduling.scheduler import Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence


class Residency:
    """Gives slots and states to sequences, and takes them back; nothing that it does changes what a sequence says."""

    def __init__(self, executor: Executor, scheduler: Scheduler, prefix_bytes: int) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self.prefixes = PrefixCache(prefix_bytes)
        self.preemptions = 0
        self._started: list[str] = []

    @property
    def pages(self) -> tuple[int, int]:
        """Pages of KV cache that there are, and those in use; zeros where an executor has none."""
        total = int(getattr(self._executor, "total_pages", 0))
        return total, total - int(getattr(self._executor, "free_pages", 0))

    def take_started(self) -> list[str]:
        """Return who got a slot for the first time since this was asked."""
        started, self._started = self._started, []
        return started

    def admit(self) -> list[Sequence]:
        """Give free slots to who waits, first come first served; return those that start after a known prefix."""
        reused = []
        while (sequence := self._scheduler.next_waiting()) is not None:
            preempted, running = sequence.preempted, len(self._scheduler.running)
            # who gave way waits until one of those who ran on has ended, or both would take turns at every step
            if sequence.running_then and running >= sequence.running_then:
                break
            if preempted is not None and not self._free_for(sequence):
                break
            self._scheduler.admit(sequence)
            sequence.running_then = 0
            if preempted is not None:
                self._executor.restore(sequence.slot, preempted)
                sequence.preempted = None
                continue
            if not sequence.position:
                self._started.append(sequence.id)
            if self._start_from_prefix(sequence):
                reused.append(sequence)
        return reused

    def make_room(self, segments: Items[Segment]) -> bool:
        """Free KV cache until the segments fit; return whether a sequence lost its slot, so that they changed."""
        while not self._executor.has_room(segments):
            if self.prefixes.evict():
                continue
            victim = self._scheduler.youngest()
            if victim is None:
                return False  # one sequence alone fits, so this is the executor's to say
            self._preempt(victim)
            return True
        return False

    def keep(self, sequence: Sequence, *, on_trial: bool = False) -> None:
        """Keep the state of a sequence where others may start from it: after a turn, an answer, or on trial a chunk."""
        if sequence.wants_prompt_logits:
            return
        key = self.prefixes.key_for(sequence.tokens[: sequence.position], sequence.request.params.cache_salt)
        if key is not None:
            self.prefixes.store(key, self._executor.snapshot(sequence.slot), on_trial=on_trial)

    def _start_from_prefix(self, sequence: Sequence) -> bool:
        # prompt logits need every token to be run
        if sequence.wants_prompt_logits or sequence.position:
            return False
        snapshot = self.prefixes.find(sequence.request.prompt, sequence.request.params.cache_salt)
        if snapshot is None or not self._executor.can_restore(snapshot):
            return False
        self._executor.restore(sequence.slot, snapshot)
        sequence.position = sequence.cached = snapshot.length
        return True

    def _free_for(self, sequence: Sequence) -> bool:
        while sequence.preempted is not None and not self._executor.can_restore(sequence.preempted):
            if not self.prefixes.evict():
                return False
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """Move a sequence's state out of the way; it goes on from there when there is room again."""
        if sequence.position:
            sequence.preempted = self._executor.snapshot(sequence.slot)
            sequence.preempted.swap_out()
        self._executor.release(sequence.slot)
        self._scheduler.preempt(sequence)
        sequence.running_then = len(self._scheduler.running)
        self.preemptions += 1

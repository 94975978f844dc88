"""Which sequences have a slot and KV cache, and where they start: prefix reuse, preemption, room for a step."""

from __future__ import annotations

from collections.abc import Sequence as Items

from trtnemo.backends import Executor, Segment, Snapshot
from trtnemo.runtime.prefixes.disk import PrefixDisk
from trtnemo.runtime.prefixes.jobs import Reading
from trtnemo.runtime.scheduling.prefix_cache import PrefixCache
from trtnemo.runtime.scheduling.scheduler import Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence

# Seconds to wait for the disk before commands are looked at again, where nothing else runs.
_PAUSE = 0.05


class Residency:
    """Gives slots and states to sequences, and takes them back; nothing that it does changes what a sequence says."""

    def __init__(
        self, executor: Executor, scheduler: Scheduler, prefix_bytes: int, disk: PrefixDisk | None = None
    ) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self.prefixes = PrefixCache(prefix_bytes)
        self.disk = disk
        self.preemptions, self.queries, self.hits = 0, 0, 0
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
            if preempted is None and self._waits_for_disk(sequence):
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
            if self._spare():
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
        if self.disk is not None and sequence.position <= sequence.request.kept_end:
            self._climb(sequence, self.disk)

    def _climb(self, sequence: Sequence, disk: PrefixDisk) -> None:
        """Take a prompt's state for the disk, and have all of them written at the end of its last finished turn."""
        prompt, salt = sequence.request.prompt[: sequence.request.kept_end], sequence.request.params.cache_salt
        if sequence.ladder is None:
            sequence.ladder = disk.ladder(prompt, salt)
        disk.climb(sequence.ladder, sequence.slot, sequence.position)
        if sequence.position == len(prompt):
            if sequence.ladder.is_wanted:
                disk.write(sequence.ladder, prompt, salt, self._executor.snapshot(sequence.slot))
            sequence.ladder = None

    def _waits_for_disk(self, sequence: Sequence) -> bool:
        """Return whether a sequence's beginning is being read from disk; a file that is damaged makes it look again."""
        if self.disk is None or sequence.position or sequence.wants_prompt_logits:
            return False
        if not sequence.is_sought:
            self._seek(sequence, self.disk)
        while sequence.reading is not None:
            if not sequence.reading.ended.wait(0 if self._scheduler.running else _PAUSE):
                return True
            if sequence.reading.error is None:
                break
            self.disk.take(sequence.reading)
            self._seek(sequence, self.disk)
        return False

    def _seek(self, sequence: Sequence, disk: PrefixDisk) -> None:
        prompt, salt = sequence.request.prompt, sequence.request.params.cache_salt
        sequence.is_sought = True
        sequence.reading = disk.seek(prompt, salt, self.prefixes.reach(prompt, salt), self.prefixes.evict)

    def _start_from_prefix(self, sequence: Sequence) -> bool:
        # prompt logits need every token to be run
        if sequence.wants_prompt_logits or sequence.position:
            return False
        self.queries += self.prefixes.budget_bytes > 0 or self.disk is not None
        reading, sequence.reading = sequence.reading, None
        if reading is not None and self.disk is not None and self.disk.take(reading):
            self._start(sequence, reading.snapshot)
            self._keep_read(sequence, reading)
            return True
        snapshot = self.prefixes.find(sequence.request.prompt, sequence.request.params.cache_salt)
        if snapshot is None or not self._executor.can_restore(snapshot):
            return False
        self._start(sequence, snapshot)
        return True

    def _start(self, sequence: Sequence, snapshot: Snapshot) -> None:
        self.hits += 1
        self._executor.restore(sequence.slot, snapshot)
        sequence.position = sequence.cached = snapshot.length

    def _keep_read(self, sequence: Sequence, reading: Reading) -> None:
        """Keep what was read from disk in memory too, where it fits; the sequence holds its pages already."""
        key = self.prefixes.key_for(sequence.tokens[: sequence.position], sequence.request.params.cache_salt)
        if key is None or not self.prefixes.store(key, reading.snapshot):
            reading.give_back()

    def _spare(self) -> bool:
        """Give up what is only kept, or on its way from or to disk; return whether there was any."""
        return self.prefixes.evict() or (self.disk is not None and self.disk.spare())

    def _free_for(self, sequence: Sequence) -> bool:
        while sequence.preempted is not None and not self._executor.can_restore(sequence.preempted):
            if not self._spare():
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

"""States of prompts on disk as the engine's loop sees them: sought, read, kept, given up; all on its thread."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

from trtnemo.backends import Executor, Portable, Snapshot, SnapshotForm
from trtnemo.errors import StepError
from trtnemo.runtime.options import PrefixPlace
from trtnemo.runtime.prefixes.folder import EngineFolder, Place
from trtnemo.runtime.prefixes.header import VERSION, Header, Rung
from trtnemo.runtime.prefixes.jobs import Job, JobThread, Reading, Writing
from trtnemo.runtime.prefixes.key import keys_of
from trtnemo.runtime.prefixes.ladder import LEAST_TOKENS, Ladder
from trtnemo.runtime.prefixes.names import SUFFIX
from trtnemo.runtime.prefixes.room import touch

logger = logging.getLogger(__name__)
# More prompts than this are not kept: each holds its pages until it is written.
MOST_WRITINGS = 4


class PrefixDisk:
    """The states of one engine's prompts in a directory; `wake` is called on another thread when a job has ended.

    Raises OSError where the directory cannot be used.
    """

    def __init__(self, executor: Portable, chunk: int, place: PrefixPlace, wake: Callable[[], None]) -> None:
        self._executor, self._form, self._chunk, self._place = executor, executor.form, chunk, place
        self._folder = EngineFolder(place.directory, _engine_digest(place.engine, self._form), self._form)
        self._folder.open()
        self._reader, self._writer = (JobThread(f"trtnemo-prefix-{name}", wake) for name in ("reader", "writer"))
        self._readings: list[Reading] = []
        self._writings: list[Writing] = []
        self._has_warned = False
        self.hits = 0

    def seek(self, tokens: Sequence[int], salt: str, known: int, spare: Callable[[], bool]) -> Reading | None:
        """Begin to read the longest beginning of a prompt, where it spares enough tokens beyond the `known` ones.

        `spare` frees pages, and says whether it did.
        """
        place = self._find(tokens[:-1], salt) if len(tokens) > LEAST_TOKENS else None
        if place is None:
            return None
        if place.length - known < LEAST_TOKENS:  # memory has it, and whoever comes after a restart will ask the file
            touch(place.path)
            return None
        snapshot = self._blank(place, tokens, spare)
        if snapshot is None:
            return None
        reading = Reading(snapshot, self._executor.pieces(snapshot), place=place)
        self._readings.append(reading)
        self._reader.put(reading)
        return reading

    def _find(self, tokens: Sequence[int], salt: str) -> Place | None:
        self._folder.list()
        return self._folder.find(tokens, salt)

    def _blank(self, place: Place, tokens: Sequence[int], spare: Callable[[], bool]) -> Snapshot | None:
        unfed = tokens[place.length - place.header.rungs[place.number].unfed : place.length]
        while True:
            try:
                return self._executor.blank_snapshot(place.length, unfed)
            except StepError:
                if not spare():
                    return None

    def take(self, reading: Reading) -> bool:
        """Return whether a reading that has ended gave a state; its pages are the caller's then."""
        if reading in self._readings and reading.is_good:
            self._readings.remove(reading)
            self.hits += 1
            return True
        reading.halt()
        if reading.error is not None:
            self._blame(reading)
        return False

    def _blame(self, reading: Reading) -> None:
        path, error = reading.place.path, reading.error
        if isinstance(error, FileNotFoundError):  # another server removed it, or wrote it anew
            self._folder.forget(path)
        elif error is not None:
            self._folder.refuse(path, error)

    def ladder(self, tokens: Sequence[int], salt: str) -> Ladder:
        """Return what takes states while a prompt is read to the end of these tokens."""
        is_free = len(self._writings) < MOST_WRITINGS and len(tokens) >= LEAST_TOKENS
        place = self._find(tokens, salt) if is_free else None
        covered = len(tokens) if not is_free else place.length if place is not None else 0
        return Ladder(len(tokens), covered, self._chunk)

    def climb(self, ladder: Ladder, slot: int, position: int) -> None:
        """Have a ladder take a slot's state, where it wants it."""
        if ladder.wants(position):
            ladder.climb(self._executor.snapshot_state(slot))

    def write(self, ladder: Ladder, tokens: Sequence[int], salt: str, top: Snapshot) -> None:
        """Have a prompt's states written; `top` is the last of them and has the pages."""
        snapshots = [*ladder.rungs(), top]
        pieces = [self._executor.pieces(snapshot) for snapshot in snapshots]
        keys = keys_of(tokens, [snapshot.length for snapshot in snapshots], salt)
        rungs = [Rung(key.hex(), length, piece.unfed) for (length, key), piece in zip(keys, pieces, strict=True)]
        form = self._form
        header = Header(
            engine=self._folder.engine,
            state_bytes=form.state_bytes,
            row_bytes=form.row_bytes,
            page_bytes=form.page_bytes,
            page_tokens=form.page_tokens,
            has_mtp=form.has_mtp,
            rungs=tuple(rungs),
        )
        path, most = self._folder.path / f"{rungs[-1].key}{SUFFIX}", self._place.most_bytes
        if any(job.path == path for job in self._writings):
            return
        writing = Writing(top, pieces[-1], path=path, header=header, states=pieces, most_bytes=most)
        self._writings.append(writing)
        self._writer.put(writing)

    def poll(self) -> None:
        """Take pages back from what has ended."""
        for writing in [job for job in self._writings if job.released.is_set()]:
            writing.give_back()
            if writing.ended.is_set():
                self._writings.remove(writing)
                self._warn(writing.error)
        for reading in [job for job in self._readings if job.is_halted and job.ended.is_set()]:
            reading.give_back()
            self._readings.remove(reading)

    def spare(self) -> bool:
        """Give up what is being read and written, and return whether pages came back."""
        jobs: list[Job] = [*self._readings, *self._writings]
        for job in jobs:
            job.halt()
        for job in jobs:
            job.released.wait()
        return sum(job.give_back() for job in jobs) > 0

    def _warn(self, error: Exception | None) -> None:
        if error is not None and not self._has_warned:
            self._has_warned = True
            logger.warning("a prompt's states were not written, and others may not be: %s", error)

    def finish(self, seconds: float) -> bool:
        """Wait until what is to be written is; return whether it is. For any thread."""
        return self._writer.finish(seconds)

    def close(self, seconds: float) -> None:
        """Finish writing within a time, and end."""
        self.finish(seconds)
        self.spare()
        self.poll()
        self._reader.stop()
        self._writer.stop()


def open_disk(executor: Executor, place: PrefixPlace | None, wake: Callable[[], None]) -> PrefixDisk | None:
    """Return the states on disk, None where none are wanted, or the directory cannot be used, which is told."""
    if place is None or not isinstance(executor, Portable):
        return None
    try:
        return PrefixDisk(executor, executor.budget.max_num_tokens, place, wake)
    except OSError as error:
        logger.warning("no states of prompts are kept on disk: %s", error)
        return None


def _engine_digest(engine: str, form: SnapshotForm) -> str:
    """Return what names the folder of an engine: a digest of all that a state's bits depend on."""
    return hashlib.sha256(json.dumps([VERSION, engine, asdict(form)]).encode()).hexdigest()[:32]

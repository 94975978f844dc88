"""What is done beside the engine's loop: a file written, a state read, one after the other on a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trtnemo.backends import Pieces, Snapshot
from trtnemo.errors import MachineError
from trtnemo.runtime.prefixes.folder import Place
from trtnemo.runtime.prefixes.header import Header
from trtnemo.runtime.prefixes.read import read_rung
from trtnemo.runtime.prefixes.room import make_room, touch
from trtnemo.runtime.prefixes.write import HaltedError, write_file


@dataclass(eq=False)
class Job:
    """A snapshot whose pages a thread looks at, until `released`; only the loop's thread gives them back.

    error: what ended it early, known when it has `ended`.
    """

    snapshot: Snapshot
    pieces: Pieces
    released: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    is_halted: bool = False
    error: Exception | None = None
    _is_begun: bool = False
    _has_pages: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def halt(self) -> None:
        """Have it stop soon, or never begin; `released` says when no page is looked at any more."""
        with self._lock:
            self.is_halted = True
            if not self._is_begun:
                self.released.set()
                self.ended.set()

    def give_back(self) -> bool:
        """Give back the pages, which nobody looks at any more; return whether they were still held."""
        had, self._has_pages = self._has_pages, False
        if had:
            self.pieces.give_back()
        return had

    def check(self) -> None:
        """Raise HaltedError where it is to stop."""
        if self.is_halted:
            raise HaltedError

    def work(self) -> None:
        """Do it; raises OSError, TrtnemoError, HaltedError."""
        raise NotImplementedError

    def run(self) -> None:
        """Do it, and note how it ended."""
        with self._lock:
            self._is_begun = not self.is_halted
        if not self._is_begun:
            return
        try:
            self.work()
        except HaltedError:
            pass
        except Exception as error:  # whatever happens to a file must not end the thread
            self.error = error.with_traceback(None)  # whose frames would hold the snapshot
        finally:
            self.released.set()
            self.ended.set()


@dataclass(eq=False)
class Writing(Job):
    """A file of a prompt's states, to be written within a bound of its directory."""

    path: Path = field(kw_only=True)
    header: Header = field(kw_only=True)
    states: list[Pieces] = field(kw_only=True)
    most_bytes: int = field(kw_only=True)

    def work(self) -> None:
        """Make room and write."""
        root, size = self.path.parent.parent, len(self.header.pack()) + self.header.payload_bytes
        if not make_room(root, self.most_bytes, size):
            why = "server.prefix_dir_gib, or the space that is free there, is smaller"
            raise MachineError(f"a prompt's states need {size >> 20} MiB; {why}", where=str(root))
        write_file(self.path, self.header, self.states, self.released.set, self.check)
        make_room(root, self.most_bytes)  # another server may have written meanwhile


@dataclass(eq=False)
class Reading(Job):
    """A state that is read into a blank snapshot."""

    place: Place = field(kw_only=True)

    @property
    def is_good(self) -> bool:
        """Whether the snapshot holds the state."""
        return self.ended.is_set() and not self.is_halted and self.error is None

    def work(self) -> None:
        """Read, and note that the file was used."""
        read_rung(self.place.path, self.place.header, self.place.number, self.pieces, self.check)
        touch(self.place.path)


class JobThread:
    """Runs jobs one after the other; `done` is called after each."""

    def __init__(self, name: str, done: Callable[[], None]) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done = done
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, job: Job) -> None:
        """Run a job when those before it have ended."""
        self._jobs.put(job.run)

    def finish(self, seconds: float) -> bool:
        """Wait until all that was put has ended; return whether it has."""
        ended = threading.Event()
        self._jobs.put(ended.set)
        return ended.wait(seconds)

    def stop(self) -> None:
        """End the thread when what was put has ended."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (work := self._jobs.get()) is not None:
            work()
            work = None  # or it would hold a snapshot until the next one comes
            self._done()

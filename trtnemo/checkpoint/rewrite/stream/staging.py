"""The directory that new files grow in: what is whole stays there when a run is killed, and the next one goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from trtnemo.checkpoint.rewrite.stream.shard import Shard
from trtnemo.errors import CheckpointError, MachineError
from trtnemo.files.staging import remove_leftovers, replace_directory

_PLAN, _LOCK, _PART = "plan.json", "lock", ".part"


class Staging:
    """A directory beside the output, held by one process; its files are written one by one, each whole or not there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def adopt(self, plan: dict[str, Any]) -> bool:
        """Keep what an earlier run of the same plan wrote, and return whether it did; else begin with nothing."""
        text = json.dumps(plan, sort_keys=True)
        digest = {"plan": hashlib.sha256(text.encode()).hexdigest()}
        written = self.directory / _PLAN
        try:
            if json.loads(written.read_text()) == digest:
                return True
        except (OSError, ValueError):
            pass  # nothing was written yet, or it was cut off
        self._remove_all_but({_LOCK})
        written.write_text(json.dumps(digest))
        return False

    def keep_only(self, shards: list[Shard]) -> None:
        """Remove all but whole shards: another file may be half of one, from a run that was killed."""
        self._remove_all_but({_LOCK, _PLAN, *(shard.name for shard in shards)})

    def _remove_all_but(self, names: set[str]) -> None:
        for path in self.directory.iterdir():
            if path.name in names:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def holds(self, shard: Shard) -> bool:
        """Return whether a shard is here, whole: it gets its name when all of it is on the disk."""
        path = self.directory / shard.name
        return path.is_file() and path.stat().st_size == shard.size

    def require_space(self, shards: list[Shard]) -> None:
        """Raise MachineError where the disk has not the bytes that these shards take."""
        wanted, free = sum(shard.size for shard in shards), shutil.disk_usage(self.directory).free
        free += sum(path.stat().st_blocks * 512 for path in self.directory.glob(f"*{_PART}"))
        if wanted > free:
            raise MachineError(
                f"the disk has {free:,} bytes free, and the files take {wanted:,}",
                where=str(self.directory.parent),
                remedy="Make space, or write to another disk; what is written already is kept",
            )

    def write(self, shard: Shard, fill: Callable[[int], None]) -> None:
        """Write a shard: its header, then what `fill` writes into the open file; raises CheckpointError."""
        part = self.directory / f"{shard.name}{_PART}"
        try:
            with part.open("wb") as file:
                file.write(shard.header)
                file.flush()
                os.truncate(file.fileno(), shard.size)
                fill(file.fileno())
                os.fsync(file.fileno())
            part.rename(self.directory / shard.name)
        except OSError as error:
            raise CheckpointError(
                f"cannot be written: {error.strerror}",
                where=str(part),
                remedy="The same command goes on with what is written already",
            ) from None

    def finish(self, output: Path) -> None:
        """Give the directory its name, in the place of what is there."""
        replace_directory(self.directory, output)
        for name in (_PLAN, _LOCK):  # after the name: a kill in between loses nothing
            (output / name).unlink()


@contextmanager
def flushed_meanwhile(file: int) -> Iterator[None]:
    """Have what is written go to the disk all the time, so that nothing waits for all of it at the end."""
    ended = Event()

    def flush() -> None:
        while not ended.wait(0.5):
            with suppress(OSError):  # told by the last one, which the writer waits for
                os.fdatasync(file)

    thread = Thread(target=flush, name="flush")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def open_staging(output: Path) -> Iterator[Staging]:
    """Yield the directory that becomes `output`; it stays when the block fails, for the next run.

    Raises CheckpointError where another process writes the same output, or nothing can be written.
    """
    directory = output.parent / f".{output.name}.quantizing"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise CheckpointError(f"cannot be written: {error.strerror}", where=str(output)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError("is being written by another process", where=str(output)) from None
        yield Staging(directory)

"""The directory that new files grow in: what is whole stays there when a run is killed, and the next one goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.rewrite.stream.shard import Shard
from trtnemo.errors import CheckpointError, MachineError
from trtnemo.files.staging import replace_directory

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
        for path in self.directory.iterdir():
            if path.name != _LOCK:
                path.unlink()
        written.write_text(json.dumps(digest))
        return False

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
        for name in (_PLAN, _LOCK):
            (self.directory / name).unlink()
        replace_directory(self.directory, output)


@contextmanager
def open_staging(output: Path) -> Iterator[Staging]:
    """Yield the directory that becomes `output`; it stays when the block fails, for the next run.

    Raises CheckpointError where another process writes the same output, or nothing can be written.
    """
    directory = output.parent / f".{output.name}.quantizing"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise CheckpointError(f"cannot be written: {error.strerror}", where=str(output)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError("is being written by another process", where=str(output)) from None
        yield Staging(directory)

"""A directory of results: one writer at a time, and files that are written atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trtnemo.errors import CheckpointError, UsageError
from trtnemo.files.json_file import read_json_object
from trtnemo.files.lock import LockedError, locked

LOCK = ".lock"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Make a directory where there is none and keep other writers out; raises UsageError."""
    with ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(directory / LOCK))
        except LockedError:
            raise UsageError("another command is writing here", where=str(directory)) from None
        except OSError as error:
            raise UsageError(f"cannot be a directory of results: {error.strerror}", where=str(directory)) from None
        yield


def is_empty(directory: Path) -> bool:
    """Return whether nothing is there but a lock, and parts of files that a killed command left."""
    names = {entry.name for entry in directory.iterdir()} - {LOCK}
    return all(name.startswith(".") and name.endswith(".part") for name in names)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises UsageError."""
    try:
        return read_json_object(path)
    except CheckpointError as error:
        what = error.what.removeprefix("cannot be read: ")
        raise UsageError(f"cannot be read: {what}", where=str(path), remedy="Run the sweep again") from None

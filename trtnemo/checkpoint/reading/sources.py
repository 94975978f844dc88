"""The files that are read: opened once, and the same from the first byte to the last."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.errors import CheckpointError


class Sources:
    """Shards of a checkpoint, open for reading at any place by any thread."""

    def __init__(self, files: Iterable[str]) -> None:
        self._stack = ExitStack()
        self._files: dict[str, int] = {}
        self._states: dict[str, tuple[int, int, int]] = {}
        for path in sorted(set(files)):
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self._stack.close()
                raise CheckpointError(f"cannot be read: {error.strerror}", where=path) from None
            self._stack.callback(os.close, file)
            self._files[path], self._states[path] = file, _state(os.fstat(file))

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def states(self) -> dict[str, tuple[int, int, int]]:
        """Size, time of the last change in nanoseconds, and inode of each file, as they were when it was opened."""
        return dict(self._states)

    def read(self, info: TensorInfo, begin: int, buffer: npt.NDArray[np.uint8]) -> None:
        """Fill a buffer with bytes of a tensor, from `begin` on; raises CheckpointError where the file became short."""
        view = buffer.data
        place = info.offset + begin
        while view:
            done = os.preadv(self._files[info.file], [view], place)
            if not done:
                raise CheckpointError("shrank while it was read", where=info.file)
            view, place = view[done:], place + done

    def require_unchanged(self) -> None:
        """Raise CheckpointError for a file that is not what it was when it was opened."""
        for path, state in self._states.items():
            try:
                now = _state(Path(path).stat())
            except OSError:
                now = None
            if now != state:
                raise CheckpointError(
                    "changed while it was read", where=path, remedy="Wait until it is written, and start again"
                )


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino

"""Ctrl-C in a conversation: it ends an answer, never the program."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """The user pressed Ctrl-C; unlike KeyboardInterrupt, which SIGTERM raises too, it does not end the program."""


class StopKey:
    """Takes SIGINT for as long as it is entered; a press outside an answer, as a second one, does nothing."""

    def __init__(self) -> None:
        self._is_armed = False

    def __enter__(self) -> StopKey:
        self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *failure: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Raise Stopped inside at the first press."""
        self._is_armed = True
        try:
            yield
        finally:
            self._is_armed = False

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        if self._is_armed:
            self._is_armed = False
            raise Stopped

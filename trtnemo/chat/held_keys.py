"""The keyboard while an answer is printed: what is typed waits for the next prompt and is not echoed."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

_LFLAG = 3


@contextmanager
def held_keys(descriptor: int) -> Iterator[None]:
    """Hold the keys of a terminal; Ctrl-C stays a signal. A paste keeps its marks, by which it is one turn later."""
    before = termios.tcgetattr(descriptor)
    held = [*before]
    held[_LFLAG] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSANOW, held)
    _mark_pastes(True)
    try:
        yield
    finally:
        _mark_pastes(False)
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _mark_pastes(on: bool) -> None:
    screen = next((stream for stream in (sys.stdout, sys.stderr) if stream.isatty()), None)
    if screen is not None and os.environ.get("TERM", "dumb") != "dumb":
        screen.write("\x1b[?2004h" if on else "\x1b[?2004l")
        screen.flush()

"""A program in a terminal of its own: what is typed goes in, what a user sees comes out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.support.waiting import wait_until

ROWS, COLUMNS = 40, 120
MARKS_PASTES = 2004 << 5  # as pyte numbers the modes that are set by `?`


class Terminal:
    """An emulated terminal with `python -m trtnemo ARGUMENTS` in it; `written` is every byte that came."""

    def __init__(self, arguments: list[str], environment: dict[str, str], stdout: Path | None) -> None:
        self._screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.descriptor, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        # a question for the cursor's place is answered as terminals do
        self._screen.write_process_input = lambda data: self._send(data.encode())  # type: ignore[method-assign]
        out = inner if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trtnemo", *arguments],
            stdin=inner,
            stdout=out,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            preexec_fn=_take_terminal,
        )
        for opened in {inner, out}:
            os.close(opened)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:  # the program is gone
                return
            if not data:
                return
            self._stream.feed(data)
            self.written += data

    def _send(self, data: bytes) -> None:
        while data:
            select.select([], [self.descriptor], [])
            data = data[os.write(self.descriptor, data) :]

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        self._send(text if isinstance(text, bytes) else text.encode())

    def paste(self, text: str) -> None:
        """Paste a text, between marks where the program asked for them; a line ends as if Enter was pressed."""
        given = text.replace("\n", "\r")
        self.type(f"\x1b[200~{given}\x1b[201~" if MARKS_PASTES in self._screen.mode else given)

    @property
    def text(self) -> str:
        """What was and is on the screen, without blanks at the ends of lines."""
        above = ["".join(line[column].data for column in range(COLUMNS)) for line in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self._screen.display])

    @property
    def title(self) -> str:
        """The title of the window."""
        return self._screen.title

    def wait_for(self, text: str, times: int = 1) -> None:
        """Return when the screen has shown a text so many times."""
        try:
            wait_until(lambda: self.text.count(text) >= times)
        except AssertionError:
            raise AssertionError(f"not seen {times} times: {text!r}\n{self.text.rstrip()}") from None

    def wait_for_prompt(self) -> None:
        """Return when a fresh prompt stands in the last line."""
        try:
            wait_until(lambda: self.text.rstrip().endswith("\n>") and self._screen.cursor.x == 2)
        except AssertionError:
            raise AssertionError(f"no prompt\n{self.text.rstrip()}") from None

    def wait(self) -> int:
        """Return the exit code when the program has ended."""
        code = self.process.wait(30)
        self._reader.join(0.2)
        return code

    def close(self) -> None:
        """End the program and the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        os.close(self.descriptor)


def _take_terminal() -> None:
    """Make stdin the controlling terminal, so that Ctrl-C is a signal for this program alone."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def terminal(*arguments: str, stdout: Path | None = None, **environment: str) -> Iterator[Terminal]:
    """Run a command of ours in a terminal; its stdout may go to a file instead."""
    opened = Terminal(list(arguments), environment, stdout)
    try:
        yield opened
    finally:
        opened.close()

"""The gateway before a supervised server: a process of its own, kept running, and closed before the server is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence

from trtnemo.endpoint import PARENT_WATCH, PAUSE, RESUME, free_port
from trtnemo.errors import ServerError

_AGAIN_SECONDS = 1.0
_MORE_SECONDS = 15.0  # beyond what a gateway gives to what runs
_NEARBY = 20


class Door:
    """A gateway with these words of `trtnemo gateway`; `tell` hears when it had to be started again.

    drain_seconds: that it gives to what runs when it is closed.

    It ends when this process does, however that ends: it reads a pipe that is then closed.
    """

    def __init__(self, words: Sequence[str], drain_seconds: float, tell: Callable[[str], None]) -> None:
        self._command = [sys.executable, "-m", "trtnemo", "gateway", *words]
        self._tell, self._close_seconds = tell, drain_seconds + _MORE_SECONDS
        self._is_closing = threading.Event()
        self._process = self._begin()
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line.startswith("Gateway at "):
            _, err = self._process.communicate(timeout=self._close_seconds)
            raise ServerError((err or "the gateway did not start").strip().removeprefix("trtnemo: error: "))
        self.url = line.split()[-1]
        self._keeper = threading.Thread(target=self._keep, name="trtnemo-door", daemon=True)
        self._keeper.start()

    @property
    def is_closing(self) -> bool:
        """Whether it was told to."""
        return self._is_closing.is_set()

    def close(self) -> None:
        """Take no new requests, let those that run end, and end."""
        self._is_closing.set()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._close_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        """Take no new requests: their clients are told to come again."""
        self._send(PAUSE)

    def resume(self) -> None:
        """Take new requests again."""
        self._send(RESUME)

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it by force."""
        self._is_closing.set()
        self._process.kill()
        self._process.wait()

    def _begin(self) -> subprocess.Popen[str]:
        env = {**os.environ, PARENT_WATCH: "1"}
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=env,
            start_new_session=True,
        )

    def _keep(self) -> None:
        """Pass on what it says, and start it again where it ends unasked."""
        while True:
            process = self._process
            said = threading.Thread(target=_drain, args=(process.stdout,), daemon=True)
            said.start()
            for line in process.stderr or ():
                self._tell(line.rstrip("\n"))
            code = process.wait()
            said.join()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            if self._is_closing.wait(_AGAIN_SECONDS):
                return
            self._tell(f"the gateway ended with exit code {code}: it is started again")
            self._process = self._begin()


def _drain(lines: Iterable[str] | None) -> None:
    for _ in lines or ():
        pass


def inner_port(outer: int, is_free: Callable[[int], bool]) -> int:
    """Return the port of the server behind: the next free one, so that it stays the same from start to start."""
    near = range(outer + 1, min(outer + 1 + _NEARBY, 65536))
    return next((port for port in near if is_free(port)), 0) or free_port()

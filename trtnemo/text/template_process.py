"""A foreign template in a process of its own: what it can do to this one is to fail, or to be too slow."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from trtnemo.text.template_engine import TemplateError

# All that the worker sees of our environment, which may hold tokens.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
TIME_LIMIT = 5.0  # seconds for one rendering; a start takes a fraction of one


class TemplateProcess:
    """Renders in a worker that is killed when it overstays, and started again for the next request.

    Raises TemplateError when the text is not a template.
    """

    def __init__(self, text: str, time_limit: float = TIME_LIMIT) -> None:
        self._text, self._time_limit = text, time_limit
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        with self._lock:
            self.variables: set[str] = set(self._started().variables)

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text; raises TemplateError."""
        with self._lock:
            worker = self._started()
            try:
                return str(worker.ask(dict(variables), self._time_limit))
            except RecursionError:
                raise TemplateError("cannot be given messages that are nested so deeply") from None
            except (EOFError, OSError, TimeoutError):
                self._stop()
                raise TemplateError(
                    f"takes more than {self._time_limit:g} seconds or too much memory on these messages"
                ) from None

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._stop()

    def _started(self) -> _Worker:
        if self._worker is None or not self._worker.is_alive:
            self._stop()
            self._worker = _Worker(self._text, self._time_limit)
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class _Worker:
    """One worker process with the template loaded."""

    def __init__(self, text: str, time_limit: float) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        seconds = str(math.ceil(4 * time_limit))
        command = [sys.executable, "-m", "trtnemo.text.template_worker", str(theirs.fileno()), seconds]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # the terminal's interrupt is the parent's business
                stdin=subprocess.DEVNULL,
            )
        self.kill = weakref.finalize(self, _end, self._process, self._ours)
        try:
            self.variables: list[str] = self.ask(text, 4 * time_limit)
        except (EOFError, OSError, TimeoutError):
            self.kill()
            raise TemplateError("cannot be compiled within the limits of time and memory") from None

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, message: Any, seconds: float) -> Any:
        """Return the reply; raises TimeoutError, EOFError, TemplateError."""
        self._ours.send_bytes(json.dumps(message).encode())
        if not self._ours.poll(seconds):
            raise TimeoutError
        reply = json.loads(self._ours.recv_bytes())
        if "error" in reply:
            raise TemplateError(reply["error"])
        return reply["ok"]


def _end(process: subprocess.Popen[bytes], connection: Any) -> None:
    connection.close()
    process.kill()
    process.wait()

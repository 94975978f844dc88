"""One line for each request, without a word of what was asked or answered."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TextIO

from trtnemo.errors import one_line
from trtnemo.front.options import LogForm

MOST_WAITING = 10_000  # lines


@dataclass
class AccessRecord:
    """What is told of one request; seconds from its head to its last byte."""

    request_id: str
    client: str
    key: str
    method: str
    path: str
    status: int
    seconds: float
    received_bytes: int
    sent_bytes: int


class AccessLog:
    """Writes records to a stream on a thread of its own: a pipe that nobody reads holds up nobody."""

    def __init__(self, form: LogForm, stream: TextIO | None = None) -> None:
        self._form = form
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def write(self, record: AccessRecord) -> None:
        """Have a line written; a stream that is closed or full loses it, and nothing else."""
        if self._form == "off":
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trtnemo-access-log", daemon=True)
            self._thread.start()
        with suppress(queue.Full):
            self._lines.put_nowait(self._line(time.strftime("%Y-%m-%dT%H:%M:%S%z"), record))

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for so long."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._lines.put_nowait(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):
                print(line, file=self._stream or sys.stderr, flush=True)

    def _line(self, now: str, record: AccessRecord) -> str:
        if self._form == "json":
            return json.dumps({"time": now, **asdict(record), "seconds": round(record.seconds, 6)})
        return (
            f"{now} {record.request_id} {record.client} {one_line(record.key)} {record.method} "
            f"{one_line(record.path)} {record.status} {record.seconds:.3f}s "
            f"{record.received_bytes} in {record.sent_bytes} out"
        )

"""One line for each request, without a word of what was asked or answered."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import TextIO

from trtnemo.errors import one_line
from trtnemo.front.options import LogForm


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
    """Writes records to a stream, in the form that was chosen."""

    def __init__(self, form: LogForm, stream: TextIO | None = None) -> None:
        self._form = form
        self._stream = stream

    def write(self, record: AccessRecord) -> None:
        """Write a line; a stream that is closed or full loses it, and nothing else."""
        if self._form == "off":
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        try:
            print(self._line(now, record), file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):
            return

    def _line(self, now: str, record: AccessRecord) -> str:
        if self._form == "json":
            return json.dumps({"time": now, **asdict(record), "seconds": round(record.seconds, 6)})
        return (
            f"{now} {record.request_id} {record.client} {one_line(record.key)} {record.method} "
            f"{one_line(record.path)} {record.status} {record.seconds:.3f}s "
            f"{record.received_bytes} in {record.sent_bytes} out"
        )

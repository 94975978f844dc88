"""A server of `tiny`, and how slow its /health is meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx


@contextmanager
def server(*settings: str, files: int | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the URL of a server of `tiny` built with settings, and its process."""
    chosen = [word for setting in settings for word in ("--set", setting)]
    trtnemo = [sys.executable, "-m", "trtnemo"]
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [*trtnemo, "build", "--recipe", "tiny", "--output", f"{directory}/e", *chosen], check=True, stdout=2
        )
        command = [*trtnemo, "serve", "--engine", f"{directory}/e", "--port", "0"]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split()[-1], process
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=40)
            process.kill()


class Health:
    """Asks for /health from another process: what this one does with long bodies would slow its questions down."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "scripts.abuse.health", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is not None:
            self._process.stdout.readline()

    def stop(self) -> tuple[float, float]:
        """Return the 99.9th percentile and the longest time, in milliseconds."""
        ordered = sorted(json.loads(self._process.communicate()[0]))
        return ordered[int(len(ordered) * 0.999)], ordered[-1]


def post(url: str, path: str, body: Any, timeout: float = 120) -> str:
    """Return the status and how long it took."""
    began = time.perf_counter()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        found = httpx.post(url + path, content=content, headers={"content-type": "application/json"}, timeout=timeout)
        status = str(found.status_code)
    except httpx.HTTPError as error:
        status = type(error).__name__
    return f"{status} in {time.perf_counter() - began:.2f} s"


def resident(process: subprocess.Popen[str]) -> int:
    """Return MiB that a process holds."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024

"""Gateways as real processes, before servers that a test scripts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.commands import interruptible
from tests.support.upstream import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Return a function that starts a gateway before some addresses and gives (process, URL)."""
    running: list[subprocess.Popen[str]] = []

    def start(*upstreams: str, options: tuple[str, ...] = (), **more: Any) -> tuple[subprocess.Popen[str], str]:
        chosen = [word for upstream in upstreams for word in ("--upstream", upstream)]
        settings = {"health_seconds": 0.2, **more}
        chosen += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        command = [sys.executable, "-m", "trtnemo", "gateway", "--port", "0", *chosen, *options]
        with interruptible():
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        line = process.stdout.readline() if process.stdout else ""
        assert line.startswith("Gateway at "), process.communicate()[1]
        return process, line.split()[-1]

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=60)

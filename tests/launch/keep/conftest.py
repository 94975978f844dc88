"""A stand-in that is kept serving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.machine import Machine, free_port


@pytest.fixture
def keep(machine: Machine, make_checkpoint: Any) -> Any:
    """Return a function that begins to keep a stand-in of vLLM serving, and gives the process and its events."""
    machine.add_gpus(1)
    machine.add_server("vllm", "vllm", "0.20.0")
    machine.environment["TRTNEMO_TIME_SCALE"] = "0.05"
    settings = [f"checkpoint={make_checkpoint('nvfp4')}", "server.host=127.0.0.1"]
    chosen = [word for setting in settings for word in ("--set", setting)]
    built = machine.build("--recipe", "vllm-b200", "--output", str(machine.directory / "bundle"), *chosen)
    assert built.returncode == 0, built.stderr
    path = machine.directory / "events"

    def begin(behaviour: str, *options: str) -> Any:
        words = ["serve", "--engine", str(machine.directory / "bundle"), "--port", str(free_port())]
        return machine.start(*words, "--events", str(path), *options, behaviour=behaviour), lambda: events_in(path)

    return begin


def events_in(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

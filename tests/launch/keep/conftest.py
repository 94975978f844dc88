"""Stand-ins that are kept serving."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.machine import Machine, free_port, write_program
from tests.support.paths import STAND_IN


@pytest.fixture
def keep(keep_server: Any) -> Any:
    """Return a function that begins to keep a stand-in of vLLM serving, and gives the process and its events."""
    return keep_server("vllm")


@pytest.fixture
def keep_server(machine: Machine, make_checkpoint: Any) -> Any:
    """Return a function that gives `keep` for a server, with settings of its recipe."""
    recipes = {"vllm": "vllm-b200", "sglang": "sglang-b200", "trtllm": "b200"}
    machine.add_gpus(1)
    machine.environment["TRTNEMO_TIME_SCALE"] = "0.05"
    path = machine.directory / "events"

    def build(server: str, *settings: str, version: str | None = None) -> Any:
        version = version or {"vllm": "0.20.0", "sglang": "0.5.10", "trtllm": "1.3.0rc12"}[server]
        machine.add_server("trtllm-serve" if server == "trtllm" else server, server, version)
        given = [f"checkpoint={make_checkpoint('nvfp4')}", "server.host=127.0.0.1", *settings]
        chosen = [word for setting in given for word in ("--set", setting)]
        bundle = machine.directory / "bundle"
        built = machine.build("--recipe", recipes[server], "--output", str(bundle), *chosen)
        assert built.returncode == 0, built.stderr
        if server == "sglang":  # whose bundle seals `python3 -m sglang.launch_server`
            words = f'shift 2; exec {sys.executable} {STAND_IN} sglang {version} "$@"'
            write_program(machine.programs / "python3", words)
        return begin

    def begin(behaviour: str, *options: str) -> Any:
        words = ["serve", "--engine", str(machine.directory / "bundle"), "--port", str(free_port())]
        return machine.start(*words, "--events", str(path), *options, behaviour=behaviour), lambda: events_in(path)

    return build


def events_in(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

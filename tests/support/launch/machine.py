"""Machines that have what external servers need, made of strict stand-ins."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.commands import interruptible, trtnemo_here
from tests.support.paths import CARD, STAND_IN
from tests.support.waiting import wait_until

GPU = "NVIDIA B200, 183359, 10.0"


def card(name: str) -> str:
    """Return a command of the model card, verbatim."""
    return (CARD / f"{name}.txt").read_text(encoding="utf-8")


def write_program(path: Path, text: str) -> None:
    """Write a program that a shell starts."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Machine:
    """A PATH with stand-ins; `run` calls our command on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.environment = {
            **os.environ,
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HF_HOME": str(directory / "hub"),
            "XDG_STATE_HOME": str(directory / "state"),
            "STAND_IN": "ok",
            "STAND_IN_LIVES": str(directory / "lives"),
        }

    def add_gpus(self, count: int, row: str = GPU) -> None:
        """Give the machine GPUs, as nvidia-smi tells them."""
        rows = "\\n".join(f"{row}, GPU-{number}, Disabled" for number in range(count))
        write_program(self.programs / "nvidia-smi", f"printf '{rows}\\n'")

    def add_server(self, program: str, server: str, version: str) -> None:
        """Give the machine a stand-in server."""
        skip = "shift; " if program in ("vllm", "sglang") else ""
        write_program(self.programs / program, f'{skip}exec {sys.executable} {STAND_IN} {server} {version} "$@"')

    def start(self, *arguments: str, behaviour: str = "ok") -> subprocess.Popen[str]:
        """Start our command."""
        command = [sys.executable, "-m", "trtnemo", *map(str, arguments)]
        environment = {**self.environment, "STAND_IN": behaviour}
        pipe = subprocess.PIPE
        with interruptible():
            return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=self.directory)

    def member(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Return a supervised server as `status --json` tells it, once it is written down."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            told = self.run("status", "--json")
            found[:] = [one for one in json.loads(told.stdout)["servers"] if one["supervisor"] == process.pid]
            return bool(found)

        wait_until(is_there, 60)
        return found[0]

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `trtnemo build` in this process, which starts nothing of the machine's."""
        with mock.patch.dict(os.environ, self.environment):
            return trtnemo_here("build", *arguments, cwd=self.directory)

    def run(self, *arguments: str, behaviour: str = "ok") -> subprocess.CompletedProcess[str]:
        """Run our command to its end."""
        process = self.start(*arguments, behaviour=behaviour)
        out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

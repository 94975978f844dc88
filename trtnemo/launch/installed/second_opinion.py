"""A start taken through an installed server's own parser and configuration, in a process of its own, without a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trtnemo.errors import MachineError, UsageError
from trtnemo.launch.installed.model_directory import model_directory
from trtnemo.launch.installed.opinion import Opinion
from trtnemo.launch.render.words import option_words, server_words
from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe.external import is_secret

_SECONDS = 300


@dataclass(frozen=True)
class StatedDevice:
    """The device that a start is checked for: compute capability, bytes of memory, and how many there are."""

    capability: str
    memory: int
    count: int


def ask_installed(invocation: Invocation, device: StatedDevice, python: str | None = None) -> Opinion:
    """Return what the installed server says; raises MachineError where none is installed, or it does not answer.

    `python` names an environment, or the interpreter in it; without it, this one's and the program on PATH are tried.
    """
    server = find_server(invocation.server)
    if server.probe is None:
        raise UsageError(
            f"{server.dialect.title} has no stage that runs without its GPU",
            where="--installed",
            remedy="Check without --installed",
        )
    interpreter = _interpreter(server.module, server.program, python)
    with model_directory(invocation.model) as model:
        answer = _run(interpreter, server.probe, [case_of(invocation, device, model)])
    told = answer["answers"][0]
    return Opinion(server.dialect.title, answer["version"], interpreter, told["reached"], told["error"])


def case_of(invocation: Invocation, device: StatedDevice, model: str | None) -> dict[str, Any]:
    """Return what a probe is asked: a start, on a device, of the model in a directory, or of one that is not here."""
    given = {name: value for name, value in invocation.env.items() if value is not None and not is_secret(name)}
    return {
        "words": _words(invocation),
        "model": model,
        "capability": device.capability,
        "memory": device.memory,
        "count": device.count,
        "env": given,
    }


def _words(invocation: Invocation) -> list[str]:
    """Return the words of a start without values that nobody knows, with the options that our record has not."""
    known = {
        name: value
        for name, value in invocation.options.items()
        if not any(piece in str(value) for piece in invocation.unset)
    }
    words = server_words(replace(invocation, options=known), _source, with_program=False)
    words[1:1] = invocation.stray if not invocation.surface.dialect.model_option else []
    for name, value in invocation.unknown.items():
        if value is not None:
            words += option_words(name, value)
    return words


def _source(file: StartFile) -> str:
    return str(file.source) if file.source is not None else file.here


def _interpreter(module: str, program: str, python: str | None) -> str:
    """Return the Python that has the server."""
    if python is not None:
        given = Path(python).expanduser()
        found = given / "bin" / "python" if given.is_dir() else given
        if not os.access(found, os.X_OK):
            raise UsageError(
                f"{python} is no Python and no environment with one", where="--server-python", remedy="Give its folder"
            )
        return str(found)
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    on_path = shutil.which(program)
    if on_path is not None:
        with Path(on_path).open("rb") as file:
            first = file.readline(512).decode("utf-8", "replace")
        if first.startswith("#!") and "python" in first:
            return first[2:].split()[0]
    raise MachineError(
        f"{module} is not installed here",
        where="--installed",
        remedy=f"Name the environment that has it with --server-python, or install {module}",
    )


def _run(python: str, script: Path, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of a probe; raises MachineError where there is none."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    try:
        result = subprocess.run(
            [python, str(script)],
            input=json.dumps(cases),
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MachineError(f"{python} did not answer within {_SECONDS} s", where="--installed") from None
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not lines:
        last = (result.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise MachineError(
            f"{python} ended with {result.returncode} and no answer: {last[:300]}",
            where="--installed",
            remedy="Look whether the server starts with --help in that environment",
        )
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer

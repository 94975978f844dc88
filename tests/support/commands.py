"""Our command line in this process, for tests that look at what it says: a process of its own takes half a second.

Exit codes of real processes, signals and what is imported are asked of real processes: tests/cli/test_commands.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from trtnemo.cli import cli
from trtnemo.cli.group import run


@contextlib.contextmanager
def _working_directory(directory: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory or before)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let children that are started inside hear Ctrl-C, which a background job ignores, and its children with it.

    A handler, unlike SIG_IGN, is back to the default in a new program.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def trtnemo(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, to its end."""
    command = [sys.executable, "-m", "trtnemo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def run_command(home: Path, *words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command whose caches lie in `home`; names in capitals are variables of the environment, others options."""
    variables = {name: more.pop(name) for name in list(more) if name.isupper()}
    environment = {**os.environ, "XDG_CACHE_HOME": str(home), "HF_HOME": str(home / "hf"), **variables}
    return trtnemo(*words, env=environment, **more)


def trtnemo_here(*arguments: object, cwd: Path | None = None, input: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as `python -m trtnemo` would, in this process, and return what a finished process has."""
    words = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(input.encode()), "utf-8")
    handler = signal.getsignal(signal.SIGTERM)  # which the command takes for itself
    try:
        with (
            _working_directory(cwd),
            mock.patch.object(sys, "stdin", given),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(cli, words)
    finally:
        signal.signal(signal.SIGTERM, handler)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(words, code, *texts)

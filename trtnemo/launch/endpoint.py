"""A server of our own for as long as a command needs one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trtnemo.errors import ServerError

_ANSWERS = re.compile(r" at (https?://\S+)$")


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[str]:
    """Run `trtnemo serve` with these arguments on a free port and yield its base URL; raises ServerError.

    What the server says of itself goes to stderr, as from the command itself.
    """
    command = [sys.executable, "-m", "trtnemo", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield _wait_for_url(process)
    finally:
        process.terminate()
        process.communicate()


def _wait_for_url(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if found := _ANSWERS.search(line.rstrip()):
            return found[1]
    raise ServerError(f"the server ended with exit code {process.wait()} before it answered")

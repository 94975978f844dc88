"""Texts that users paste: on the command line, from a file, or from standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trtnemo.errors import UsageError

# as much as any form takes; the reader says which bound was passed
_MAXIMUM_BYTES = 1 << 19
COMMAND_HELP = (
    "A pasted server start: a command line or script, Compose, Kubernetes, systemd, a Dockerfile or an options file; "
    "a file's path, or - for stdin."
)
part_option = click.option(
    "--part", metavar="NAME", help="Which start is meant where the text has several: a service, a container, a number."
)


def pasted_text(given: str) -> str:
    """Return the text that an argument means: `-` standard input, the path of a file its content, else itself.

    Raises UsageError where it is no text.
    """
    if given == "-":
        return _decoded(sys.stdin.buffer.read(_MAXIMUM_BYTES), "stdin")
    if "\n" in given or not given.strip() or len(given) > 4096:
        return given
    path = Path(given).expanduser()
    try:
        if not path.is_file():
            return _require_command(given)
        with path.open("rb") as file:
            return _decoded(file.read(_MAXIMUM_BYTES), given)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=given) from None


def _require_command(given: str) -> str:
    """Return a text that is no file's path; raises UsageError for one that looks like a path."""
    if " " not in given.strip() and ("/" in given or given.endswith((".sh", ".yaml", ".yml", ".service", ".txt"))):
        raise UsageError("there is no such file", where=given, remedy="Give a file, a text, or - for stdin")
    return given


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(raw) == _MAXIMUM_BYTES:
            return raw.decode("utf-8", "ignore")
        raise UsageError(f"is no text in UTF-8 (byte {error.start})", where=where) from None

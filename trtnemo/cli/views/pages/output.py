"""Where a page is written: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from trtnemo.errors import UsageError


def require_page(output: Path) -> None:
    """Raise UsageError unless a page may be written: over nothing, an empty file or an HTML page, and never a link."""
    remedy = "Give --html another place"
    try:
        if output.is_symlink() or (output.exists() and not output.is_file()):
            raise UsageError("exists and is not a file", where=str(output), remedy=remedy)
        if output.exists() and not _is_page(output):
            raise UsageError("exists and is no HTML page, so it is not replaced", where=str(output), remedy=remedy)
        if not output.parent.is_dir():
            raise UsageError("there is no directory for it", where=str(output), remedy=f"Make {output.parent} first")
        if not os.access(output.parent, os.W_OK):
            raise UsageError("cannot be written: its directory is read-only", where=str(output), remedy=remedy)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output), remedy=remedy) from None


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    return not start or start.startswith((b"<!doctype html", b"<html"))


def write_page(output: Path, text: str) -> None:
    """Write a page, which is never seen half-written; raises UsageError."""
    require_page(output)
    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from None
    finally:
        _forget(partial)


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # of a name that is too long, which was never made
        return

"""A directory that is written atomically."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trtnemo.errors import TrtnemoError


@contextmanager
def staged_directory(output: Path, force: bool, marker: str, failure: type[TrtnemoError]) -> Iterator[Path]:
    """Yield a sibling directory that becomes `output` when the block ends well, and vanishes when it does not.

    `marker` is the file that marks a directory of this kind, which alone `force` replaces. Raises `failure` when
    `output` is in the way.
    """
    check_output(output, force, marker, failure)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output)
        staging = output.parent / f".{output.name}.building-{os.getpid()}"
        staging.mkdir()
    except OSError as error:
        raise failure(f"cannot be written: {error.strerror}", where=str(output)) from None
    try:
        yield staging
        replace_directory(staging, output)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_output(output: Path, force: bool, marker: str, failure: type[TrtnemoError]) -> None:
    """Raise `failure` unless `output` may be written."""
    if output.is_symlink():
        raise failure("is a link", where=str(output), remedy="Give the place that it leads to, or another")
    if not output.exists():
        return
    if not force:
        raise failure("already exists", where=str(output), remedy="Give another place, or add --force")
    is_empty = output.is_dir() and not any(output.iterdir())
    if not is_empty and not (output / marker).is_file():
        raise failure(f"exists but holds no {marker}, so --force does not replace it", where=str(output))


def refuse_own_place(output: Path, read: Iterable[Path], failure: type[TrtnemoError]) -> None:
    """Raise `failure` where the output is, or holds, a directory that it is made of: it would vanish."""
    for directory in read:
        if output.resolve() in (directory.resolve(), *directory.resolve().parents):
            raise failure("is or holds what the copy is made of", where=str(output), remedy="Give another place")


def replace_directory(staging: Path, output: Path) -> None:
    """Give a directory another name beside it; one that has that name vanishes."""
    if not output.exists():
        staging.rename(output)
        return
    old = output.parent / f".{output.name}.replaced-{os.getpid()}"
    output.rename(old)
    staging.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(output: Path) -> None:
    """Delete what builds of this output left behind that were killed before they could tidy up."""
    for path in output.parent.glob(f".{output.name}.*"):
        match = re.fullmatch(r".*\.(?:building|replaced)-(\d+)", path.name)
        if match and not _is_alive(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

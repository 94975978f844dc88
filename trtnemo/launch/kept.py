"""What takes room here: engines that `trtnemo run` built, and the family's checkpoints in the hub's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trtnemo.errors import CheckpointError, UsageError
from trtnemo.files.cache_home import engines_home


@dataclass(frozen=True)
class Kept:
    """One thing that takes room on the disk; used: when it was last read or written, in seconds since 1970."""

    kind: Literal["engine", "checkpoint"]
    name: str
    path: Path
    bytes: int
    used: float


def list_kept() -> list[Kept]:
    """Return engines, those that a killed build left among them, and checkpoints, the largest first."""
    return sorted((*_engines(), *_checkpoints()), key=lambda one: (-one.bytes, one.name))


def find_kept(names: Sequence[str]) -> list[Kept]:
    """Return those of some names, each once; raises UsageError for a name that nothing has."""
    kept = {one.name: one for one in reversed(list_kept())}  # of two of a name, the larger
    if unknown := [name for name in names if name not in kept]:
        raise UsageError(f"nothing called {unknown[0]!r} is kept here", remedy="`trtnemo cache list` has the names")
    return [kept[name] for name in dict.fromkeys(names)]


def remove(one: Kept) -> None:
    """Delete an engine, or all revisions of a checkpoint; raises CheckpointError where the system does not let it."""
    try:
        if one.kind == "engine":
            shutil.rmtree(one.path)
            return
        from huggingface_hub import scan_cache_dir

        info = scan_cache_dir()
        commits = [found.commit_hash for repo in info.repos if repo.repo_id == one.name for found in repo.revisions]
        info.delete_revisions(*commits).execute()
    except OSError as error:
        raise CheckpointError(f"cannot be removed: {error.strerror}", where=str(error.filename or one.path)) from None


def _engines() -> Iterator[Kept]:
    home = engines_home()
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            files = [file.stat() for file in path.rglob("*") if file.is_file()]
            used = max((max(file.st_atime, file.st_mtime) for file in files), default=path.stat().st_mtime)
            yield Kept("engine", path.name, path, sum(file.st_size for file in files), used)


def _checkpoints() -> Iterator[Kept]:
    """Yield the hub's snapshots whose config.json is of this family."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return
    for repo in repos:
        places = [found.snapshot_path for found in repo.revisions]
        if repo.repo_type == "model" and any(_is_of_family(place / "config.json") for place in places):
            yield Kept("checkpoint", repo.repo_id, repo.repo_path, repo.size_on_disk, repo.last_accessed)


def _is_of_family(config: Path) -> bool:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("model_type") == "nemotron_h"

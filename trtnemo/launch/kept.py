"""What takes room here: engines that `trtnemo run` built, and the family's checkpoints in the hub's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trtnemo.checkpoint.family.releases import release_named
from trtnemo.checkpoint.hub.source import has_all_weights
from trtnemo.errors import CheckpointError, TrtnemoError, UsageError
from trtnemo.files.cache_home import engines_home
from trtnemo.recipe.nearest import suggestion

_PARTS = (".part", ".incomplete")  # ours, and huggingface_hub's


@dataclass(frozen=True)
class Kept:
    """One thing that takes room on the disk; used: when it was last read or written, in seconds since 1970.

    partial: a checkpoint whose download has not come to its end.
    """

    kind: Literal["engine", "checkpoint"]
    name: str
    path: Path
    bytes: int
    used: float
    partial: bool = False


def list_kept() -> list[Kept]:
    """Return engines, those that a killed build left among them, and checkpoints, the largest first.

    Raises CheckpointError where the hub's cache is no directory.
    """
    return sorted((*_engines(), *_checkpoints()), key=lambda one: (-one.bytes, one.name))


def places() -> tuple[Path, Path]:
    """Return where engines and where checkpoints are looked for."""
    from huggingface_hub import constants

    return engines_home(), Path(constants.HF_HUB_CACHE)


def find_kept(names: Sequence[str]) -> list[Kept]:
    """Return those of some names, in whatever case, each once; raises UsageError for a name that nothing has."""
    everything = list_kept()
    found = [_named(name, everything) for name in names]
    return list(dict.fromkeys(found))


def _named(name: str, everything: list[Kept]) -> Kept:
    wanted = name.strip().rstrip("/")
    alike = [one for one in everything if wanted.casefold() in (one.name.casefold(), str(one.path).casefold())]
    exact = [one for one in alike if wanted in (one.name, str(one.path))]
    if not exact and len({one.name for one in alike}) > 1:
        raise UsageError(f"{name!r} may be {' or '.join(one.name for one in alike)}", remedy="Write it as it is listed")
    if not alike:
        near = suggestion(wanted, [one.name for one in everything])
        raise UsageError(f"nothing called {name!r} is kept here{near}", remedy="`trtnemo cache list` has the names")
    return (exact or alike)[0]  # of two of a name, the larger


def remove(one: Kept) -> None:
    """Delete an engine, or all revisions of a checkpoint; raises CheckpointError where the system does not let it."""
    try:
        if one.kind == "checkpoint":
            _remove_revisions(one)
            shutil.rmtree(one.path.parent / ".locks" / one.path.name, ignore_errors=True)
        if one.path.is_dir():  # the hub's client leaves what is no whole revision, and says nothing where it fails
            shutil.rmtree(one.path.resolve())
        if one.path.is_symlink():
            one.path.unlink()
    except OSError as error:
        raise CheckpointError(
            f"cannot be removed: {error.strerror or error}",
            where=str(error.filename or one.path),
            remedy="See whose it is, and whether the disk lets it be written",
        ) from None


def _remove_revisions(one: Kept) -> None:
    """Let the hub's client delete what it knows of a checkpoint: its blobs may be shared with other ones."""
    from huggingface_hub import scan_cache_dir

    info = scan_cache_dir()
    commits = [found.commit_hash for repo in info.repos if repo.repo_id == one.name for found in repo.revisions]
    if commits and not one.path.is_symlink():
        info.delete_revisions(*commits).execute()


def _engines() -> Iterator[Kept]:
    home = engines_home()
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            size, used = _measured(path)
            yield Kept("engine", path.name, path, size, used)


def _checkpoints() -> Iterator[Kept]:
    """Yield the hub's repositories that are of this family by a config.json or, before that came, by their name."""
    home = places()[1]
    if home.exists() and not home.is_dir():
        raise CheckpointError(
            "is not a directory", where=str(home), remedy="Set HF_HUB_CACHE, or HF_HOME, to the hub's cache"
        )
    for path in sorted(home.glob("models--*")):
        name = path.name.removeprefix("models--").replace("--", "/")
        snapshots = [config.parent for config in path.glob("snapshots/*/config.json") if _is_of_family(config)]
        if snapshots or (release_named(name) is not None and path.is_dir()):
            size, used = _measured(path)
            yield Kept("checkpoint", name, path, size, used, _is_partial(path, snapshots))


def _is_partial(path: Path, snapshots: list[Path]) -> bool:
    if any(file.name.endswith(_PARTS) for file in path.glob("blobs/*")):
        return True
    try:
        return not any(has_all_weights(snapshot) for snapshot in snapshots)
    except TrtnemoError:  # an index that cannot be read
        return True


def _measured(path: Path) -> tuple[int, float]:
    """Return the bytes of the files below a directory, links left out, and when one was last read or written."""
    files = [file.lstat() for file in path.resolve().rglob("*") if not file.is_symlink() and file.is_file()]
    used = max((max(file.st_atime, file.st_mtime) for file in files), default=path.stat().st_mtime)
    return sum(file.st_size for file in files), used


def _is_of_family(config: Path) -> bool:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("model_type") == "nemotron_h"

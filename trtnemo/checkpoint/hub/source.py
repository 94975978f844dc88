"""Where a checkpoint comes from: a directory, the embedded `tiny`, or the Hugging Face hub."""

from __future__ import annotations

import sys
from pathlib import Path

from trtnemo.checkpoint.family.tools.known import refuse_gguf
from trtnemo.checkpoint.format.headers import INDEX, SINGLE
from trtnemo.checkpoint.hub.pasted import is_hub_id, read_pasted
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object

EMBEDDED = Path(__file__).resolve().parents[2] / "assets" / "tiny"
SMALL_FILES = ["*.json", "*.jinja"]
# what config.json names as code, and other tokenizers' files, for servers that ask for them
SIDE_FILES = [*SMALL_FILES, "*.py", "*.txt", "*.model"]
ALL_FILES = [*SIDE_FILES, "*.safetensors"]


def find_directory(name: str) -> Path | None:
    """Return the local directory that a checkpoint's name means, or nothing where it is a hub id.

    Raises CheckpointError where it is neither.
    """
    if not name.strip():
        raise CheckpointError("the checkpoint has no name", remedy="Give a directory, a hub id, or 'tiny'")
    directory = local_directory(name)
    if directory is not None:
        return directory
    if not is_hub_id(name):
        raise CheckpointError("there is no such directory", where=name, remedy=_remedy(name))
    return None


def _remedy(name: str) -> str:
    """Return what to give in place of a name that is neither a directory nor a hub id."""
    pasted = read_pasted(name)
    if not is_hub_id(pasted.name):
        return "Give a directory, a hub id such as owner/name, or 'tiny'"
    return f"Give {pasted.name}" + (f", with the revision {pasted.revision}" if pasted.revision else "")


def local_directory(name: str) -> Path | None:
    """Return the directory of this name, or nothing; raises CheckpointError where a file is in its place."""
    try:
        directory = EMBEDDED if name == "tiny" else Path(name).expanduser()
        if directory.is_dir():
            return directory
        is_file = directory.exists()
    except (OSError, RuntimeError, ValueError):  # no such home, a name too long, a NUL
        return None
    if is_file:
        refuse_gguf([directory.name], name)
        remedy = "Give the directory that holds config.json and the weights"
        raise CheckpointError("is a file, not a checkpoint directory", where=name, remedy=remedy)
    return None


def require_config(directory: Path) -> None:
    """Raise CheckpointError for a directory without config.json, which names one below it that has it."""
    if (directory / "config.json").exists():
        return
    below = sorted((*directory.glob("*/config.json"), *directory.glob("snapshots/*/config.json")))
    remedy = f"Give {below[0].parent}" if below else "Give the directory that holds config.json and the weights"
    raise CheckpointError("holds no config.json: it is no checkpoint directory", where=str(directory), remedy=remedy)


def locate_checkpoint(name: str, revision: str | None = None) -> Path:
    """Return the local directory of a checkpoint; a hub id is downloaded, or read from the cache when offline.

    Raises CheckpointError when there is no such directory and the hub cannot give it.
    """
    return find_directory(name) or fetch_snapshot(name, revision, ALL_FILES)


def fetch_snapshot(name: str, revision: str | None, patterns: list[str], output: Path | None = None) -> Path:
    """Download files of a hub id into the cache, or `output`, and return their directory; what is there stays.

    Raises CheckpointError.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    from trtnemo.checkpoint.hub.client import require_online  # brings the HTTP client
    from trtnemo.checkpoint.hub.refusal import hub_error

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_dir=output))
    except Exception as error:  # the hub client raises types of its own, of its HTTP library and of the system
        if constants.HF_HUB_OFFLINE:
            require_online(name)
        raise hub_error(name, error) from None


def cached_snapshot(name: str, revision: str | None) -> Path | None:
    """Return the hub's snapshot in this machine's cache where all of it is there, asking nobody."""
    from huggingface_hub import snapshot_download

    try:
        directory = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # as above: whatever it is, the cache does not have it
        return None
    return directory if has_all_weights(directory) else None


def has_all_weights(directory: Path) -> bool:
    """Return whether the files that hold a checkpoint's weights are all there; raises CheckpointError."""
    if not (directory / INDEX).is_file():
        return (directory / SINGLE).is_file()
    weight_map = read_json_object(directory / INDEX).get("weight_map")
    shards = set(map(str, weight_map.values())) if isinstance(weight_map, dict) else set()
    return all((directory / shard).is_file() for shard in shards)

"""Where a checkpoint comes from: a directory, the embedded `tiny`, or the Hugging Face hub."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from trtnemo.checkpoint.family.tools.known import refuse_gguf
from trtnemo.checkpoint.format.headers import INDEX, SINGLE
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object

EMBEDDED = Path(__file__).resolve().parents[2] / "assets" / "tiny"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
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
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            "there is no such directory", where=name, remedy="Give a directory, a hub id such as owner/name, or 'tiny'"
        )
    return None


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
        raise CheckpointError("is a file, not a checkpoint directory", where=name)
    return None


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

    from trtnemo.checkpoint.hub.client import hub_error, require_online  # brings the HTTP client

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
    if not (directory / INDEX).is_file():
        return directory if (directory / SINGLE).is_file() else None
    weight_map = read_json_object(directory / INDEX).get("weight_map")
    shards = set(map(str, weight_map.values())) if isinstance(weight_map, dict) else set()
    return directory if all((directory / shard).is_file() for shard in shards) else None

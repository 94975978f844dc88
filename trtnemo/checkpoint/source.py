"""Where a checkpoint comes from: a directory, the embedded `tiny`, or the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from trtnemo.errors import CheckpointError

EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "tiny"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATTERNS = ["*.json", "*.safetensors", "*.jinja"]


def locate_checkpoint(name: str, revision: str | None = None) -> Path:
    """Return the local directory of a checkpoint; a hub id is downloaded, or read from the cache when offline.

    Raises CheckpointError when there is no such directory and the hub cannot give it.
    """
    if name == "tiny":
        return EMBEDDED
    if not name.strip():
        raise CheckpointError("the checkpoint has no name", remedy="Give a directory, a hub id, or 'tiny'")
    directory = Path(name).expanduser()
    if directory.is_dir():
        return directory
    if directory.exists():
        raise CheckpointError("is a file, not a checkpoint directory", where=name)
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            "there is no such directory", where=name, remedy="Give a directory, a hub id such as owner/name, or 'tiny'"
        )
    return _from_hub(name, revision)


def fetch_json(name: str, revision: str | None = None) -> Path:
    """Return a directory with a hub id's json files and template, weights left out; raises CheckpointError."""
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            "there is no such directory", where=name, remedy="Give a directory, a hub id such as owner/name, or 'tiny'"
        )
    return _from_hub(name, revision, ["*.json", "*.jinja"])


def _from_hub(name: str, revision: str | None, patterns: list[str] = _PATTERNS) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub client raises types of its own, of httpx and of the system
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        offline = " (offline: HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        raise CheckpointError(
            f"cannot be had from the hub{offline}: {reason}",
            where=name,
            remedy="Give a local directory, or check the name and the connection",
        ) from None

"""Download a checkpoint at one commit: its headers audited before, its weights after."""

from __future__ import annotations

import fnmatch
import shutil
from dataclasses import dataclass
from pathlib import Path

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.hub.client import HubListing, list_hub
from trtnemo.checkpoint.hub.download import download_weights
from trtnemo.checkpoint.hub.source import ALL_FILES, SIDE_FILES, fetch_snapshot
from trtnemo.errors import CheckpointError, MachineError

_RESERVE = 1 << 30  # bytes left free on the disk beside the download


@dataclass(frozen=True)
class Fetched:
    """Where a checkpoint is now, at which commit, and what the audit of the files on disk says."""

    name: str
    commit: str
    directory: Path
    report: AuditReport


def fetch_checkpoint(
    name: str, revision: str | None = None, output: Path | None = None, *, anyway: bool = False
) -> Fetched:
    """Download a hub id into the hub's cache, or `output`; an interrupted download resumes.

    The revision is pinned to its commit first, and headers and free disk are looked at before any weight is fetched;
    `anyway` skips the audit of the headers. Raises CheckpointError, or MachineError where the disk is too small.
    """
    listing = list_hub(name, revision)
    if not anyway:
        _audit_headers(listing)
    require_disk(listing, output)
    directory = fetch_snapshot(name, listing.commit, SIDE_FILES, output)
    download_weights(listing, directory, output)
    return Fetched(name, listing.commit, directory, audit(Checkpoint.survey(directory)))


def _audit_headers(listing: HubListing) -> None:
    """Raise CheckpointError where the headers alone show that the checkpoint is not fit to serve."""
    checkpoint = Checkpoint.from_hub(listing)
    report = audit(checkpoint, values=False)
    if report.first_error is not None:
        raise CheckpointError(
            f"{report.first_error}; nothing was fetched",
            where=checkpoint.place,
            remedy=f"`trtnemo check {listing.name} --revision {listing.commit}` lists everything; --anyway fetches it",
        )


def require_disk(listing: HubListing, output: Path | None) -> None:
    """Raise MachineError where the files that are not here yet do not fit the disk."""
    target = output or _cache_folder()
    place = next(parent for parent in (target, *target.resolve().parents) if parent.exists())
    missing = sum(_missing_bytes(listing, file, output) for file in listing.files)
    free = shutil.disk_usage(place).free
    if missing + _RESERVE > free:
        raise MachineError(
            f"{missing:,} bytes are still to be fetched, {free:,} are free",
            where=str(place),
            remedy="Free some, or give --output on another disk",
        )


def _missing_bytes(listing: HubListing, file: str, output: Path | None) -> int:
    from huggingface_hub import try_to_load_from_cache

    if not any(fnmatch.fnmatch(file, pattern) for pattern in ALL_FILES):
        return 0
    size = listing.files[file] or 0
    if output is not None:
        return 0 if (output / file).is_file() else size
    return 0 if isinstance(try_to_load_from_cache(listing.name, file, revision=listing.commit), str) else size


def _cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def pinned(fetched: Fetched) -> str:
    """Return the lines of a recipe that name exactly what was fetched."""
    return f"checkpoint: {fetched.name}\nrevision: {fetched.commit}"

"""Files beside the sha256 that whoever published them gives: the only way to see a bit that changes a weight a little.

Source of what a download keeps: huggingface_hub, file_download.py (a blob is named by its etag, which is the sha256 of
a large file) and _local_folder.py (`.cache/huggingface/download/NAME.metadata`: commit, etag, time).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.reading.threads import Progress, in_threads
from trtnemo.checkpoint.rules import found
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.findings import Finding

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)")  # as sha256sum writes
_PART, _MOST_BYTES = 4 << 20, 16 << 20
Report = Callable[[str, int, int], None]


def published_digests(shards: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 by file name that a download of the hub left beside the files; some, all or none."""
    known = {}
    for path in shards:
        digest = _of_blob(path) or _of_metadata(path)
        if digest is not None:
            known[path.name] = digest
    return known


def read_digests(path: Path) -> dict[str, str]:
    """Return the sha256 by file name of a list as sha256sum writes it; raises UsageError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"is longer than {_MOST_BYTES:,} bytes", where=str(path))
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None
    digests: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line.strip().removeprefix("\\"))
        if not line.strip() or line.startswith("#"):
            continue
        if match is None:
            raise UsageError(f"line {number} is no digest and file name, as sha256sum writes them", where=str(path))
        name, digest = Path(match["name"]).name, match["digest"].lower()
        if digests.setdefault(name, digest) != digest:
            raise UsageError(f"gives two digests of {name}", where=str(path))
    if not digests:
        raise UsageError("holds no digest", where=str(path), remedy="`sha256sum *.safetensors` writes such a file")
    return digests


def digest_findings(
    checkpoint: Checkpoint, digests: Mapping[str, str], report: Report = lambda what, done, total: None
) -> tuple[list[Finding], int]:
    """Return the files that are not what was published, and how many were compared.

    Reads those files whole; report hears of (file, bytes read, bytes to read). Raises CheckpointError.
    """
    shards = [path for path in checkpoint.shards if path.name in digests]
    total = sum(path.stat().st_size for path in shards)
    progress = Progress(lambda what, done: report(what, done, total))

    def differs(path: Path) -> Iterator[Finding]:
        actual = _digest(path, lambda size: progress.add(path.name, size))
        if actual != digests[path.name]:
            yield found("file-changed", path.name, f"its sha256 is {actual}, published is {digests[path.name]}")

    return [one for ones in in_threads(lambda path: list(differs(path)), shards, each=1) for one in ones], len(shards)


def _digest(path: Path, told: Callable[[int], None]) -> str:
    digest, part = hashlib.sha256(), bytearray(_PART)
    view = memoryview(part)
    try:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(part):
                digest.update(view[:size])
                told(size)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return digest.hexdigest()


def _of_blob(path: Path) -> str | None:
    if not path.is_symlink():
        return None
    target = path.readlink()
    return target.name if target.parent.name == "blobs" and _SHA256.fullmatch(target.name) else None


def _of_metadata(path: Path) -> str | None:
    try:
        lines = (path.parent / ".cache/huggingface/download" / f"{path.name}.metadata").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[1] if len(lines) > 1 and _SHA256.fullmatch(lines[1]) else None

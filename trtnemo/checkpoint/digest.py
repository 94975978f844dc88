"""The SHA-256 of a file, a piece at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 4 << 20


def file_sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

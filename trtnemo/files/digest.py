"""SHA-256 of a file, a piece at a time, and of this program's own code."""

from __future__ import annotations

import glob
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

_CHUNK = 4 << 20


def file_sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """Return a digest of this state of the code: Python files, chat template and the native module."""
    package = Path(__file__).parent.parent
    # glob follows the link to the plugins, which rglob does not
    files = [name for kind in ("py", "jinja") for name in glob.glob(f"{package}/**/*.{kind}", recursive=True)]
    native = importlib.util.find_spec("trtnemo._native")
    files += [native.origin] if native is not None and native.origin is not None else []
    lines = [f"{Path(name).name} {file_sha256(Path(name))}" for name in files]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

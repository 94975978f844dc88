"""API keys from a file, held as hashes, read again when the file changes."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path

from trtnemo.errors import UsageError

METRICS = "metrics"  # a key of this name opens /metrics and nothing else
# a header carries ASCII alone
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.@-]{0,63})\s*:\s*(?P<key>[!-~]{8,512})")
_LARGEST = 1 << 20


class KeyFile:
    """The names and keys of a file: a line `name: key` each, blank lines and `#` comments between them."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises UsageError where it cannot be read, others may read it, or a line is wrong."""
        self._path = path
        self._stamp = self._stamp_now()
        self._names = self._read()

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(self._path)) from None
        if stat.S_IMODE(found.st_mode) & 0o077 and os.name == "posix":
            raise UsageError(
                "holds keys, and others on this machine may read it",
                where=str(self._path),
                remedy=f"chmod 600 {self._path}",
            )
        if found.st_size > _LARGEST:
            raise UsageError(f"is larger than {_LARGEST} bytes", where=str(self._path))
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> dict[bytes, str]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read: {error}", where=str(self._path)) from None
        names: dict[bytes, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if found is None:  # the line itself is never shown: it may hold a key
                raise UsageError(
                    "is not `name: key`, with a key of 8 characters at least and no blanks",
                    where=f"{self._path}:{number}",
                )
            if digest(found["key"]) in names:
                raise UsageError("holds a key that an earlier line has", where=f"{self._path}:{number}")
            names[digest(found["key"])] = found["name"]
        if not any(name != METRICS for name in names.values()):
            raise UsageError("holds no key", where=str(self._path))
        return names

    def refresh(self) -> str | None:
        """Read the file again if it changed; return why it could not be, and keep the old keys then."""
        try:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._names, self._stamp = self._read(), stamp
        except UsageError as error:
            return str(error)
        return None

    def name_of(self, key: str) -> str | None:
        """Return whose key it is; every key is compared, in the same time for a right one and a wrong one."""
        given, found = digest(key), None
        for known, name in self._names.items():
            if hmac.compare_digest(known, given):
                found = name
        return found


def digest(key: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_in(headers: dict[str, str]) -> str | None:
    """Return the key that a request brings, as OpenAI's clients send it or as Anthropic's do."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else headers.get("x-api-key")

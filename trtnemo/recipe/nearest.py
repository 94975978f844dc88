"""The nearest valid word to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word most like `word`, or None where none is like it."""
    folded = {name.replace("-", "_").lower(): name for name in valid}
    matches = difflib.get_close_matches(word.replace("-", "_").lower(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def suggestion(word: str, valid: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` or nothing, to append to a message."""
    match = nearest(word, valid)
    return f"; did you mean '{match}'?" if match else ""

"""A path that somebody wrote where no shell reads it: in a recipe, a manifest, or behind `--option=`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from trtnemo.errors import UsageError

_SCHEME = re.compile(r"[A-Za-z][\w+.-]*:[/\\]")
_VARIABLE = re.compile(r"\$\w|\$\{|\$\(|\{\{")


def require_path(text: str) -> str:
    """Return a path as it was written.

    Raises ValueError for what would become a file of a strange name: a URL, a variable that nobody replaced, quotes or
    spaces around it, nothing at all.
    """
    if not text.strip():
        raise ValueError("names nothing: leave it out where none is meant")
    if text != text.strip() or (text[0] in "\"'" and text[0] == text[-1]):
        raise ValueError(f"has spaces or quotes around it that belong to no path: {text!r}")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # Python's stand-in for bytes that are none
        raise ValueError("is not UTF-8 text")
    if "\0" in text:
        raise ValueError(f"holds a zero byte: {text!r}")
    if found := _SCHEME.match(text):
        raise ValueError(f"is a path of this machine, and {text!r} begins with {found[0]!r}")
    if _VARIABLE.search(text):
        raise ValueError(f"holds a variable that no shell replaced: {text!r}")
    return text


PathWord = Annotated[str, AfterValidator(require_path)]


def local_path(text: str) -> Path:
    """Return the path, a `~` at its beginning replaced; raises UsageError where that home is not known."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError("the home directory is not known here", where=text, remedy="Write the whole path") from None

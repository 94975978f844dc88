"""Foreign text as a terminal may be given it."""

from __future__ import annotations

from trtnemo.errors import CONTROL_CHARACTERS

_WRITTEN_OUT = {code: text for code, text in CONTROL_CHARACTERS.items() if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """Return text with every control character but newline and tab written out: escape as backslash, x1b."""
    return text.translate(_WRITTEN_OUT)


def whole(text: str) -> str:
    """Return text that UTF-8 can carry: lone halves of surrogate pairs become question marks."""
    return text.encode("utf-8", "replace").decode()

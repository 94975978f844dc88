"""Control tokens in what users and tools say: marked before a template sees them, encoded as the text they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

# A character that Unicode keeps for a program's own use; one that a text brings is taken out.
MARK = "\ufdd0"


@lru_cache(maxsize=64)
def _finder(tokens: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def mark(value: Any, tokens: frozenset[str]) -> Any:
    """Return a text, list or mapping in which each of the tokens is marked behind its first character."""
    if isinstance(value, str):
        plain = value.replace(MARK, "") if MARK in value else value
        return _finder(tokens).sub(lambda found: f"{found[0][0]}{MARK}{found[0][1:]}", plain)
    if isinstance(value, Mapping):
        return {mark(key, tokens) if isinstance(key, str) else key: mark(item, tokens) for key, item in value.items()}
    return [mark(item, tokens) for item in value] if isinstance(value, (list, tuple)) else value


def unmark(text: str) -> str:
    """Return a text as its reader sees it."""
    return text.replace(MARK, "") if MARK in text else text


def encode_marked(text: str, encode: Callable[[str], list[int]]) -> list[int]:
    """Return the ids of a rendered prompt: a marked token is never the token, for it is encoded in two parts."""
    return encode(text) if MARK not in text else [token for piece in text.split(MARK) for token in encode(piece)]


def longer_than_one(tokens: Iterable[str]) -> frozenset[str]:
    """Return the tokens that can be told from text: a single character cannot be cut in two."""
    return frozenset(token for token in tokens if len(token) > 1)

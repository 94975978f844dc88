"""The key of a prompt's beginning: a digest of its tokens and of the salt that keeps it apart from others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

KEY_BYTES = 16


def _begin(salt: str) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=KEY_BYTES, key=hashlib.blake2b(salt.encode()).digest() if salt else b"")


def key_of(tokens: Sequence[int], salt: str = "") -> bytes:
    """Return the key of all of these tokens."""
    return keys_of(tokens, [len(tokens)], salt)[0][1]


def keys_of(tokens: Sequence[int], lengths: Sequence[int], salt: str = "") -> list[tuple[int, bytes]]:
    """Return the key of each beginning of one of the lengths, which ascend, in one pass."""
    data = np.asarray(tokens, np.int64)
    running, start, found = _begin(salt), 0, []
    for length in lengths:
        if length > len(data):
            break
        running.update(data[start:length].tobytes())
        start = length
        found.append((length, running.copy().digest()))
    return found

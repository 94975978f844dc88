"""Values of a quantization block, checked before anything is counted by them."""

from __future__ import annotations

from typing import Any

from trtnemo.errors import CheckpointError


def read_names(value: Any, key: str, where: str) -> list[str]:
    """Return a list of names, empty where there is none; raises CheckpointError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise CheckpointError(f"{key} is not a list of names", where=where)
    return list(value)


def read_size(value: Any, key: str, where: str, allowed: tuple[int, ...] = ()) -> int:
    """Return a whole number above zero, one of `allowed` where that is given; raises CheckpointError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (allowed and value not in allowed):
        expected = f"one of {', '.join(map(str, allowed))}" if allowed else "a whole number above zero"
        raise CheckpointError(f"{key} is {value!r}, expected {expected}", where=where)
    return value


def read_block(value: Any, key: str, where: str) -> tuple[int, int]:
    """Return rows and columns of a block; raises CheckpointError."""
    if not isinstance(value, list) or len(value) != 2:
        raise CheckpointError(f"{key} is {value!r}, expected [rows, columns]", where=where)
    rows, columns = (read_size(size, key, where) for size in value)
    return rows, columns

"""JSON files of a checkpoint, as Hugging Face tools write them: bare Infinity included."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from trtnemo.errors import CheckpointError

MAXIMUM_BYTES = 256 << 20


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value in ASCII, as Hugging Face tools read it: bare Infinity included."""
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


class _RepeatedKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _RepeatedKeyError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return result


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises CheckpointError."""
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError("is not a regular file", where=str(path))
        if path.stat().st_size > MAXIMUM_BYTES:
            raise CheckpointError(f"is larger than {MAXIMUM_BYTES} bytes", where=str(path))
        value = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except _RepeatedKeyError as error:
        raise CheckpointError(f"names the key {error.args[0]!r} twice", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise CheckpointError("is not a JSON object", where=str(path))
    return value

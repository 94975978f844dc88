"""JSON files of a checkpoint, as Hugging Face tools write them: bare Infinity included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trtnemo.errors import CheckpointError

MAXIMUM_BYTES = 256 << 20


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises CheckpointError."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise CheckpointError(f"is larger than {MAXIMUM_BYTES} bytes", where=str(path))
        value = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise CheckpointError("is not a JSON object", where=str(path))
    return value

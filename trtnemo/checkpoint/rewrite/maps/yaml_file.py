"""YAML files that say what is quantized how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from trtnemo.checkpoint.rewrite.maps.patterns import FormatMap
from trtnemo.errors import UsageError

_MOST_BYTES = 1 << 20


def read_documents(path: Path) -> list[Any]:
    """Return what the documents of a YAML file hold; raises UsageError."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None
    if len(text) > _MOST_BYTES:
        raise UsageError(f"is longer than {_MOST_BYTES:,} bytes", where=str(path))
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"is not YAML: {error}", where=str(path)) from None


def read_formats(path: Path) -> FormatMap:
    """Return the formats by pattern of module names that a YAML file holds; raises UsageError."""
    documents = read_documents(path)
    content: Any = documents[0] if len(documents) == 1 else None
    if not isinstance(content, dict) or not all(isinstance(item, str) for pair in content.items() for item in pair):
        raise UsageError("is not a mapping of module patterns to formats", where=str(path))
    formats: FormatMap = content
    return formats

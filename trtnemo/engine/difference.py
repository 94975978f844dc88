"""What differs between two engines or bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trtnemo.engine.manifest import AnyManifest


@dataclass(frozen=True)
class Difference:
    """One key that is not the same: its place, and both values as JSON (`-` where there is none)."""

    key: str
    first: str
    second: str


def differences(first: AnyManifest, second: AnyManifest) -> list[Difference]:
    """Return every difference of two manifests by dotted key, digests of the whole left out."""
    one, other = (_flat(manifest.model_dump(mode="json", exclude={"digest"})) for manifest in (first, second))
    keys = sorted(one.keys() | other.keys())
    return [Difference(key, one.get(key, "-"), other.get(key, "-")) for key in keys if one.get(key) != other.get(key)]


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return flat

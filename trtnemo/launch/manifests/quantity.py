"""Quantities as Kubernetes writes them: `500m`, `16Gi`, `2e3`."""

from __future__ import annotations

import re
from typing import Any

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,3}))?")
_FACTORS = {
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
}


def quantity_value(text: Any) -> float | None:
    """Return what a quantity stands for, None where it is none."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return None
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    factor = 10.0 ** int(match[3]) if match[3] else _FACTORS.get(match[2] or "", 1)
    return float(match[1]) * factor

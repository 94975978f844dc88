"""The types of options that records name, as the functions that turn a word into a value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_MAXIMUM_DEPTH = 64
_HUMAN = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _integer(text: str) -> int:
    return int(text.strip())


def _human_integer(text: str) -> int:
    """Return 1000 for `1k`, 1024 for `1K`, as vLLM and SGLang read sizes."""
    match = _HUMAN.fullmatch(text.strip())
    if match is None:
        return int(text)
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    return int(number) << 10 * ("KMGT".index(suffix) + 1)


def _human_integer_or_auto(text: str) -> int:
    return -1 if text.strip().lower() in ("-1", "auto") else _human_integer(text)


def _json(text: str) -> Any:
    """Return the value of a JSON text; raises ValueError, for one that nests too deep too."""
    depth = deepest = 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    if deepest > _MAXIMUM_DEPTH:
        raise ValueError(f"nests deeper than {_MAXIMUM_DEPTH} levels")
    return json.loads(text)


def _json_or_text(text: str) -> Any:
    return _json(text) if text.strip().startswith("{") else text


CONVERTERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _integer,
    "float": float,
    "json": _json,
    "json_list_type": _json,
    "human_readable_int": _human_integer,
    "human_readable_int_or_auto": _human_integer_or_auto,
    "union_dict_and_str": _json_or_text,
    # texts that the server reads further when it starts: their values are not checked here
    "nullable_str": str,
    "parse_cuda_graph_backend_arg": str,
    "parse_cuda_graph_config_arg": str,
    "parse_reasoning_parser": str,
}

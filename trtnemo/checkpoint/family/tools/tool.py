"""The tools that tools.json lists: what each makes, and what reads it.

Source of the names: transformers 5.23, utils/quantization_config.py (QuantizationMethod); of the readers, its
quantizers, and the choices of --quantization in the records of vLLM 0.20.0 and 0.33.0 and of SGLang 0.5.10 and 0.5.23.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trtnemo.files.json_file import read_json_object

_FILE = Path(__file__).resolve().with_name("tools.json")


@dataclass(frozen=True)
class Tool:
    """What a tool makes in few words, a sentence on what reads it, and which of our external servers are among that."""

    title: str
    readers: str
    servers: frozenset[str]


def find_tool(method: str) -> Tool | None:
    """Return the tool of a `quant_method`, or nothing for one that is not listed."""
    return listed_tools().get(method) or listed_tools().get(method.replace("_", "-"))


@cache
def listed_tools() -> dict[str, Tool]:
    """Return the tools by their `quant_method`."""
    listed = read_json_object(_FILE)
    return {
        name: Tool(entry["is"], entry["read_by"], frozenset(entry.get("servers", ()))) for name, entry in listed.items()
    }

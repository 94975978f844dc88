"""A small evaluator of inline PTX over arrays of 32-bit words, so that instruction strings can be tested without a GPU.

It knows the integer instructions that our strings use, as the PTX manual defines them, and refuses all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

_INSTRUCTION = re.compile(r"(\w+)((?:\.\w+)*)\s+(.+)")


def evaluate(text: str, outputs: int, word: Any) -> list[Any]:
    """Return the words that an instruction string writes to $0, $1, ...; every input operand is `word`."""
    registers: dict[str, Any] = {}
    body = text.strip().removeprefix("{").removesuffix("}")
    for line in filter(None, (part.strip() for part in body.split(";"))):
        if line.startswith(".reg"):
            continue
        match = _INSTRUCTION.fullmatch(line)
        assert match, f"not an instruction: {line}"
        name, suffix, operands = match.groups()
        target, *sources = (operand.strip() for operand in operands.split(","))
        values = [_read(registers, source, outputs, word) for source in sources]
        registers[target] = _OPERATIONS[name + suffix](*values)
    return [registers[f"${number}"] for number in range(outputs)]


def _read(registers: dict[str, Any], source: str, outputs: int, word: Any) -> Any:
    if source.startswith("$"):
        return word if int(source[1:]) >= outputs else registers[source]
    return registers[source] if source in registers else np.uint32(int(source, 0))


def _lop3(a: Any, b: Any, c: Any, table: Any) -> Any:
    """Bit by bit, the bit of `table` that the three inputs' bits number, a's the highest."""
    result = np.zeros_like(a | b | c)
    for number in range(8):
        if int(table) >> number & 1:
            bits = [value if number & mask else ~value for value, mask in ((a, 4), (b, 2), (c, 1))]
            result = result | (bits[0] & bits[1] & bits[2])
    return result


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "mov.b32": lambda a: a,
    "and.b32": lambda a, b: a & b,
    "or.b32": lambda a, b: a | b,
    "shl.b32": lambda a, b: (a << b).astype(np.uint32),
    "shr.u32": lambda a, b: a >> b,
    "lop3.b32": _lop3,
}

"""Tensors that are there under the names of another layout, which one finding says of all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.family.module_name import hub_name, stacked_experts

_EXPERT = re.compile(r"(.+\.mixer\.experts)\.\d+\.(up_proj|down_proj)\.weight")


@dataclass(frozen=True)
class OtherLayout:
    """Names as they stand, and the names of the hub's layout that they stand for."""

    names: tuple[str, ...]
    means: frozenset[str]


def find_other_layout(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> OtherLayout:
    """Return what `trtnemo convert` would rename or cut; nothing of a checkpoint that another tool quantized."""
    if checkpoint.quantization.tool is not None:
        return OtherLayout((), frozenset())
    renamed: dict[str, str] = {}
    stacks: dict[tuple[str, str], str] = {}
    for name in sorted(checkpoint.tensors.keys() - expected.keys()):
        hub = hub_name(name)
        stack = stacked_experts(hub)
        if stack is not None:
            stacks[stack] = name
        elif hub in expected and hub not in checkpoint.tensors:
            renamed[hub] = name
    cut = {
        name
        for name in (expected if stacks else ())
        if (match := _EXPERT.fullmatch(name)) and (match[1], match[2]) in stacks and name not in checkpoint.tensors
    }
    return OtherLayout((*renamed.values(), *stacks.values()), frozenset(renamed) | cut)

"""Linear layers of another tool's checkpoint: whether each is stored as the groups of its config say."""

from __future__ import annotations

import dataclasses

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import PLAIN_TYPES, ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.layout import PLAIN, Layout, ModelOptLayout, parts_of
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

_MODELOPT = ModelOptLayout(WeightFormat.NVFP4)


def settle_groups(checkpoint: Checkpoint, tool: ToolMap) -> tuple[dict[str, ExpectedTensor], list[Finding]]:
    """Return what must be there as the layers are stored, and one finding for each that the config says otherwise."""
    expected = {item.name: item for item in expected_tensors(checkpoint.config, checkpoint.quantization)}
    stored: dict[str, Layout] = {}
    findings = []
    for item in expected.values():
        info = checkpoint.tensors.get(item.name)
        if item.weight_format is None or (info is not None and info.storage in item.storages):
            continue
        actual = _stored(checkpoint, item, tool)
        if actual is not None:
            stored[item.module] = actual
            said = f"not {item.weight_format.value}, as config_groups and ignore say"
            findings.append(found("groups-mismatch", item.name, f"is stored as {_title(actual)}, {said}"))
    if stored:
        truth = dataclasses.replace(checkpoint.quantization, tool=dataclasses.replace(tool, stored=stored))
        expected = {item.name: item for item in expected_tensors(checkpoint.config, truth)}
    return expected, findings


def _title(layout: Layout) -> str:
    return "ModelOpt's nvfp4" if layout == _MODELOPT else layout.format.value


def _stored(checkpoint: Checkpoint, item: ExpectedTensor, tool: ToolMap) -> Layout | None:
    """Return the layout whose weight is there; nothing where none is, which is a missing tensor."""
    for layout in (*tool.layouts, PLAIN, _MODELOPT):
        weight = parts_of(layout, 1, 32, PLAIN_TYPES[checkpoint.config.dtype])[0]
        info = checkpoint.tensors.get(f"{item.module}.{weight.suffix}")
        if info is not None and info.storage in weight.storages:
            return layout
    return None

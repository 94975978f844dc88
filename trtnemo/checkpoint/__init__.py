"""Checkpoints in the hub's layout, as a library: open, audit, scan, compare, quantize, merge, convert.

docs/library.md has examples. Names are loaded when they are asked for: numpy, which only weights need, is a third of
the time of checking a command.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trtnemo.checkpoint.auditing.audit import AuditReport, audit
    from trtnemo.checkpoint.auditing.deep.scan import Scan, scan
    from trtnemo.checkpoint.checkpoint import Checkpoint
    from trtnemo.checkpoint.comparing.compare import CheckpointDifference, compare_checkpoints
    from trtnemo.checkpoint.family.config import LayerKind, ModelConfig, parse_config
    from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
    from trtnemo.checkpoint.family.quantization import QuantizationMap
    from trtnemo.checkpoint.family.weight_format import WeightFormat
    from trtnemo.checkpoint.hub.source import locate_checkpoint
    from trtnemo.checkpoint.rewrite.converting.convert import ConvertReport, convert_stream
    from trtnemo.checkpoint.rewrite.maps.modelopt_recipe import map_of_recipe
    from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
    from trtnemo.checkpoint.rewrite.maps.release import map_of_release
    from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
    from trtnemo.checkpoint.rewrite.merging.adapter import Adapter, open_adapter
    from trtnemo.checkpoint.rewrite.merging.merge import MergeReport, merge_stream
    from trtnemo.checkpoint.rewrite.quantizing.quantize import StreamedReport, quantize_stream
    from trtnemo.checkpoint.rewrite.quantizing.scalars import Scalars, read_scalars
    from trtnemo.findings import Finding

# the module below this package that each name is in
_HOMES = {
    "StreamedReport": "rewrite.quantizing.quantize",
    "ConvertReport": "rewrite.converting.convert",
    "MergeReport": "rewrite.merging.merge",
    "Adapter": "rewrite.merging.adapter",
    "AuditReport": "auditing.audit",
    "Checkpoint": "checkpoint",
    "CheckpointDifference": "comparing.compare",
    "ExpectedTensor": "family.expected",
    "LayerKind": "family.config",
    "ModelConfig": "family.config",
    "PRESETS": "rewrite.maps.patterns",
    "QuantizationMap": "family.quantization",
    "Scalars": "rewrite.quantizing.scalars",
    "Scan": "auditing.deep.scan",
    "WeightFormat": "family.weight_format",
    "audit": "auditing.audit",
    "compare_checkpoints": "comparing.compare",
    "convert_stream": "rewrite.converting.convert",
    "expected_tensors": "family.expected",
    "locate_checkpoint": "hub.source",
    "map_of_patterns": "rewrite.maps.patterns",
    "map_of_recipe": "rewrite.maps.modelopt_recipe",
    "map_of_release": "rewrite.maps.release",
    "merge_stream": "rewrite.merging.merge",
    "open_adapter": "rewrite.merging.adapter",
    "parse_config": "family.config",
    "quantize_stream": "rewrite.quantizing.quantize",
    "read_scalars": "rewrite.quantizing.scalars",
    "scan": "auditing.deep.scan",
    "weight_only": "rewrite.maps.weight_only",
}


def __getattr__(name: str) -> Any:
    if name == "Finding":
        return importlib.import_module("trtnemo.findings").Finding
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "PRESETS",
    "Adapter",
    "AuditReport",
    "Checkpoint",
    "CheckpointDifference",
    "ConvertReport",
    "ExpectedTensor",
    "Finding",
    "LayerKind",
    "MergeReport",
    "ModelConfig",
    "QuantizationMap",
    "Scalars",
    "Scan",
    "StreamedReport",
    "WeightFormat",
    "audit",
    "compare_checkpoints",
    "convert_stream",
    "expected_tensors",
    "locate_checkpoint",
    "map_of_patterns",
    "map_of_recipe",
    "map_of_release",
    "merge_stream",
    "open_adapter",
    "parse_config",
    "quantize_stream",
    "read_scalars",
    "scan",
    "weight_only",
]

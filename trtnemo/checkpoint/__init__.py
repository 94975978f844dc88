"""Checkpoints in the hub's layout: open, audit, decode, quantize.

Names are loaded when they are asked for: numpy, which only weights need, is a third of the time of checking a command.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trtnemo.checkpoint.auditing.audit import AuditReport, audit
    from trtnemo.checkpoint.checkpoint import Checkpoint
    from trtnemo.checkpoint.family.config import LayerKind, ModelConfig, parse_config
    from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
    from trtnemo.checkpoint.family.quantization import QuantizationMap
    from trtnemo.checkpoint.family.weight_format import WeightFormat
    from trtnemo.checkpoint.hub.source import locate_checkpoint
    from trtnemo.findings import Finding

_HOMES = {
    "AuditReport": "trtnemo.checkpoint.auditing.audit",
    "Checkpoint": "trtnemo.checkpoint.checkpoint",
    "ExpectedTensor": "trtnemo.checkpoint.family.expected",
    "Finding": "trtnemo.findings",
    "LayerKind": "trtnemo.checkpoint.family.config",
    "ModelConfig": "trtnemo.checkpoint.family.config",
    "QuantizationMap": "trtnemo.checkpoint.family.quantization",
    "WeightFormat": "trtnemo.checkpoint.family.weight_format",
    "audit": "trtnemo.checkpoint.auditing.audit",
    "expected_tensors": "trtnemo.checkpoint.family.expected",
    "locate_checkpoint": "trtnemo.checkpoint.hub.source",
    "parse_config": "trtnemo.checkpoint.family.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


__all__ = [
    "AuditReport",
    "Checkpoint",
    "ExpectedTensor",
    "Finding",
    "LayerKind",
    "ModelConfig",
    "QuantizationMap",
    "WeightFormat",
    "audit",
    "expected_tensors",
    "locate_checkpoint",
    "parse_config",
]

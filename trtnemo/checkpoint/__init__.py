"""Checkpoints in the hub's layout: open, audit, decode, quantize."""

from trtnemo.checkpoint.audit.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.config import LayerKind, ModelConfig, parse_config
from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.hub.source import locate_checkpoint
from trtnemo.findings import Finding

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

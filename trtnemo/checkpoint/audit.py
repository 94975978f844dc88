"""Compare a checkpoint with what its config and quantization map promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.codecs import decode_e4m3, decode_plain
from trtnemo.checkpoint.expected import EMBEDDINGS, ExpectedTensor, expected_tensors
from trtnemo.checkpoint.json_file import read_json_object
from trtnemo.checkpoint.quantization import WeightFormat
from trtnemo.checkpoint.storage import StorageType, TensorInfo
from trtnemo.errors import CheckpointError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing wrong: how bad, by which rule, in which tensor or file, in words."""

    severity: Severity
    rule: str
    subject: str
    message: str


@dataclass(frozen=True)
class AuditReport:
    """What an audit found, and what it looked at."""

    directory: str
    tensors: int
    bytes: int
    formats: dict[str, int]
    producer: str | None
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing worse than a warning was found."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the checkpoint unfit to serve."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def require(self) -> None:
        """Raise CheckpointError for the first error, naming how many there are."""
        if self.errors:
            first, more = self.errors[0], len(self.errors) - 1
            rest = f" (and {more} more)" if more else ""
            raise CheckpointError(
                f"{first.subject}: {first.message}{rest}",
                where=self.directory,
                remedy=f"`trtnemo check {self.directory}` lists everything",
            )


def audit(checkpoint: Checkpoint, *, values: bool = True) -> AuditReport:
    """Return every finding of a checkpoint; reads headers, and where `values` says so the values of scales too."""
    expected = {item.name: item for item in expected_tensors(checkpoint.config, checkpoint.quantization)}
    findings = _audit_files(checkpoint)
    for item in expected.values():
        findings.extend(_audit_tensor(checkpoint, item, values))
    findings.extend(_unexpected(checkpoint, expected))
    return AuditReport(
        directory=str(checkpoint.directory),
        tensors=len(checkpoint.tensors),
        bytes=checkpoint.total_bytes,
        formats=_count_formats(checkpoint, expected),
        producer=checkpoint.quantization.producer,
        findings=findings,
    )


def _audit_files(checkpoint: Checkpoint) -> list[Finding]:
    findings = _audit_tokenizer(checkpoint)
    if checkpoint.quantization.damaged_names:
        findings.append(
            Finding(
                "warning",
                "names-damaged",
                "hf_quant_config.json",
                "its module names carry ModelOpt's pt_name_sentinel; read without it",
            )
        )
    return findings


def _audit_tokenizer(checkpoint: Checkpoint) -> list[Finding]:
    """Compare the tokenizer's largest id with the embedding's rows."""
    path = checkpoint.directory / "tokenizer.json"
    if not path.is_file():
        return [Finding("warning", "tokenizer-missing", path.name, "is not in the directory")]
    content = read_json_object(path)
    vocabulary = content.get("model", {}).get("vocab", {})
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    ids += [token.get("id", 0) for token in content.get("added_tokens", [])]
    largest = max((number for number in ids if isinstance(number, int)), default=-1)
    if largest < checkpoint.config.vocab_size:
        return []
    return [
        Finding(
            "error",
            "tokenizer-vocabulary",
            path.name,
            f"its largest id is {largest}, but vocab_size is {checkpoint.config.vocab_size}",
        )
    ]


def _audit_tensor(checkpoint: Checkpoint, item: ExpectedTensor, values: bool) -> list[Finding]:
    info = checkpoint.tensors.get(item.name)
    if info is None:
        if item.optional:
            return []
        promised = "; config.json promises an MTP head" if item.name.startswith("mtp.") else ""
        return [Finding("error", "tensor-missing", item.name, f"is missing{promised}")]
    problem = _shape_problem(info, item)
    if problem:
        return [problem]
    return _audit_scale(checkpoint, info) if item.is_scale and values else []


def _shape_problem(info: TensorInfo, item: ExpectedTensor) -> Finding | None:
    if info.storage not in item.storages:
        allowed = " or ".join(storage.value for storage in item.storages)
        return Finding("error", "tensor-dtype", item.name, f"is {info.storage.value}, expected {allowed}")
    if info.shape != item.shape:
        hint = "; config.json and the embedding disagree on vocab_size" if item.name == EMBEDDINGS else ""
        return Finding(
            "error", "tensor-shape", item.name, f"is {_shape(info.shape)}, expected {_shape(item.shape)}{hint}"
        )
    return None


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _audit_scale(checkpoint: Checkpoint, info: TensorInfo) -> list[Finding]:
    raw = checkpoint.read(info.name)
    is_fp8 = info.storage is StorageType.F8_E4M3
    values = decode_e4m3(raw.data.astype(np.uint8)) if is_fp8 else decode_plain(raw)
    bad = ~np.isfinite(values)
    if bad.any():
        return [
            Finding("error", "scale-not-finite", info.name, f"{int(bad.sum())} of {values.size} values are not finite")
        ]
    low = values <= 0
    if low.any():
        return [
            Finding(
                "error", "scale-not-positive", info.name, f"{int(low.sum())} of {values.size} values are not positive"
            )
        ]
    return []


def _unexpected(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> list[Finding]:
    return [
        Finding("error", "tensor-unexpected", name, "belongs to no layer of this network in its declared format")
        for name in sorted(checkpoint.tensors.keys() - expected.keys())
    ]


def _count_formats(checkpoint: Checkpoint, expected: dict[str, ExpectedTensor]) -> dict[str, int]:
    """Count weight tensors of two or more dimensions by format."""
    counts: Counter[str] = Counter()
    for item in expected.values():
        if item.name.endswith(".weight") and len(item.shape) == 2:
            counts[
                checkpoint.quantization.format_of(item.name.removesuffix(".weight")).value
                if item.storages[0] in (StorageType.U8, StorageType.F8_E4M3)
                else WeightFormat.PLAIN.value
            ] += 1
    return dict(counts)

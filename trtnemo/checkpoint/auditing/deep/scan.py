"""Scan a checkpoint: every byte is read once, in threads that wait for the disk in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from trtnemo.checkpoint.auditing.audit import AuditReport, DeepSummary
from trtnemo.checkpoint.auditing.deep.measure import Measure, measure
from trtnemo.checkpoint.auditing.deep.rules_of_experts import alike_findings, expert_findings, expert_sizes
from trtnemo.checkpoint.auditing.deep.rules_of_values import number_findings, value_findings
from trtnemo.checkpoint.auditing.groups import settle_groups
from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import PLAIN, StorageType, TensorInfo
from trtnemo.checkpoint.reading.buffers import Buffers
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.reading.threads import Progress, in_threads
from trtnemo.findings import Finding

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Scan:
    """What was read, how long it took, what was found, and every tensor's measure.

    expert_sizes: of each layer and projection, the sizes of its experts' numbers, by name. expected: what config and
    map promise, in network order. scales: the number that all of a weight is multiplied by, by the weight's name.
    """

    bytes: int
    seconds: float
    findings: list[Finding]
    measures: dict[str, Measure]
    expert_sizes: list[dict[str, float]]
    unjudged: tuple[str, ...] = ()
    expected: dict[str, ExpectedTensor] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def added_to(self, report: AuditReport) -> AuditReport:
        """Return an audit's report with what was found here."""
        summary = DeepSummary(self.bytes, self.seconds, self.unjudged)
        return replace(report, findings=[*report.findings, *self.findings], deep=summary)


def scan(checkpoint: Checkpoint, report: Report = lambda what, done, total: None) -> Scan:
    """Return every finding in the values of a checkpoint; report hears of (tensor, bytes read, bytes to read).

    Tensors whose name, type or shape is not what config and map promise are judged by NaN and infinity alone, and told
    as `unjudged`: the audit names them. Raises UsageError where only headers were fetched, CheckpointError for files
    that change meanwhile, and MachineError on an install without a compiler.
    """
    checkpoint.require_weights()
    tool = checkpoint.quantization.tool
    expected, _ = settle_formats(checkpoint) if tool is None else settle_groups(checkpoint, tool)
    began = time.monotonic()
    with Sources(str(path) for path in checkpoint.shards) as sources:
        measures = _measure_all(checkpoint, sources, report)
        sources.require_unchanged()
    known = {name: item for name, item in expected.items() if item.is_met_by(checkpoint.tensors.get(name))}
    findings = [finding for name, item in known.items() for finding in value_findings(item, measures[name])]
    scales = dict(_second_scales(checkpoint, known))
    sizes = expert_sizes(known, measures, scales)
    findings += [*alike_findings(known, measures), *expert_findings(sizes)]
    strange = {name: one for name, one in measures.items() if name not in known}
    findings += [finding for name, one in sorted(strange.items()) for finding in number_findings(name, one)]
    unjudged = tuple(sorted({name for name, one in measures.items() if not _is_judged(one.info)} | strange.keys()))
    seconds = time.monotonic() - began
    return Scan(checkpoint.total_bytes, seconds, findings, measures, sizes, unjudged, expected, scales)


def _measure_all(checkpoint: Checkpoint, sources: Sources, report: Report) -> dict[str, Measure]:
    buffers, total = Buffers(), checkpoint.total_bytes

    def one(info: TensorInfo) -> Measure:
        found = measure(info, sources, buffers)
        progress.add(info.name, info.size)
        return found

    progress = Progress(lambda what, done: report(what, done, total))
    ordered = sorted(checkpoint.tensors.values(), key=lambda info: (info.file, info.offset))
    return {found.info.name: found for found in in_threads(one, ordered)}


def _is_judged(info: TensorInfo) -> bool:
    return info.storage in (*PLAIN, StorageType.U8, StorageType.F8_E4M3)


def _second_scales(checkpoint: Checkpoint, known: dict[str, ExpectedTensor]) -> Iterator[tuple[str, float]]:
    """Yield a weight and the scale that all of it is multiplied by."""
    for name, item in known.items():
        if item.weight_format is not None:
            module = item.module
            for ending in ("weight_scale_2", "weight_scale"):
                info = checkpoint.tensors.get(f"{module}.{ending}")
                if info is not None and info.elements == 1 and info.storage in PLAIN:
                    yield name, abs(float(decode_plain(checkpoint.read(info.name)).reshape(-1)[0]))
                    break

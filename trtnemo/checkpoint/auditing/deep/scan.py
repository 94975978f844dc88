"""Scan a checkpoint: every byte is read once, in threads that wait for the disk in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

from trtnemo.checkpoint.auditing.audit import AuditReport, DeepSummary
from trtnemo.checkpoint.auditing.deep.measure import PLAIN, Measure, measure
from trtnemo.checkpoint.auditing.deep.rules_of_experts import group_findings, relative_sizes
from trtnemo.checkpoint.auditing.deep.rules_of_values import value_findings
from trtnemo.checkpoint.auditing.groups import settle_groups
from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.reading.buffers import Buffers
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.errors import UsageError
from trtnemo.findings import Finding

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Scan:
    """What was read, how long it took, what was found, and every tensor's measure.

    expert_sizes: of each expert, its numbers' size over the middle one's of its layer.
    """

    bytes: int
    seconds: float
    findings: list[Finding]
    measures: dict[str, Measure]
    expert_sizes: list[float]
    unjudged: tuple[str, ...] = ()

    def added_to(self, report: AuditReport) -> AuditReport:
        """Return an audit's report with what was found here."""
        summary = DeepSummary(self.bytes, self.seconds, self.unjudged)
        return replace(report, findings=[*report.findings, *self.findings], deep=summary)


def scan(checkpoint: Checkpoint, report: Report = lambda what, done, total: None) -> Scan:
    """Return every finding in the values of a checkpoint; report hears of (tensor, bytes read, bytes to read).

    Tensors whose type or shape is not what config and map promise are read, and judged by nothing: the audit names
    them. Raises UsageError where only headers were fetched, CheckpointError for files that change meanwhile, and
    MachineError on an install without a compiler.
    """
    if checkpoint.listing is not None:
        raise UsageError("only its headers were fetched", where=checkpoint.place, remedy="`trtnemo fetch` has all")
    tool = checkpoint.quantization.tool
    expected, _ = settle_formats(checkpoint) if tool is None else settle_groups(checkpoint, tool)
    began = time.monotonic()
    with Sources(str(path) for path in checkpoint.shards) as sources:
        measures = _measure_all(checkpoint, sources, report)
        sources.require_unchanged()
    known = {name: item for name, item in expected.items() if _is_as_promised(item, checkpoint.tensors.get(name))}
    findings = [finding for name, item in known.items() for finding in value_findings(item, measures[name])]
    scales = dict(_second_scales(checkpoint, known))
    findings += group_findings(known, measures, scales)
    sizes = relative_sizes(known, measures, scales)
    unjudged = tuple(sorted(name for name, one in measures.items() if not _is_judged(one.info)))
    return Scan(checkpoint.total_bytes, time.monotonic() - began, findings, measures, sizes, unjudged)


def _measure_all(checkpoint: Checkpoint, sources: Sources, report: Report) -> dict[str, Measure]:
    buffers, lock, total = Buffers(), Lock(), checkpoint.total_bytes
    done = 0

    def one(info: TensorInfo) -> Measure:
        nonlocal done
        found = measure(info, sources, buffers)
        with lock:
            done += info.size
            report(info.name, done, total)
        return found

    ordered = sorted(checkpoint.tensors.values(), key=lambda info: (info.file, info.offset))
    with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0)), thread_name_prefix="scan") as threads:
        try:
            return {found.info.name: found for found in threads.map(one, ordered)}
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _is_as_promised(item: ExpectedTensor, info: TensorInfo | None) -> bool:
    return info is not None and info.storage in item.storages and info.shape == item.shape


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

"""`trtnemo check --deep`: every value, every byte beside its digest where one is known, and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.auditing.audit import AuditReport
from trtnemo.checkpoint.auditing.deep.digests import digest_findings, published_digests, read_digests
from trtnemo.checkpoint.auditing.deep.scan import scan
from trtnemo.cli.views.pages.output import require_page
from trtnemo.cli.views.progress import byte_progress
from trtnemo.errors import UsageError


def audit_deep(checkpoint: Checkpoint, modelopt: bool, html: Path | None, digests: Path | None) -> AuditReport:
    """Return the audit of headers and of every value; html: a page that is written; digests: a list of sha256.

    What is refused is refused before the scan. Where no list is given, digests that a download of the hub left count.
    """
    if html is not None:
        require_page(html)
    known = published_digests(checkpoint.shards) if digests is None else _given(checkpoint, digests)
    report = audit(checkpoint, with_modelopt=modelopt)
    with byte_progress() as progress:
        found = scan(checkpoint, progress)
        changed, compared = digest_findings(checkpoint, known, progress)
    report = found.added_to(report)
    if report.deep is not None:
        report = replace(report, findings=[*report.findings, *changed], deep=replace(report.deep, digests=compared))
    if html is not None:
        from trtnemo.cli.views.pages.scan_page import write_scan_page

        write_scan_page(html, checkpoint, found, report)
    return report


def _given(checkpoint: Checkpoint, path: Path) -> dict[str, str]:
    digests = read_digests(path)
    missing = [shard.name for shard in checkpoint.shards if shard.name not in digests]
    if missing:
        raise UsageError(f"gives no digest of {missing[0]}", where=str(path),
                         remedy="Give those of all weight files of the checkpoint")  # fmt: skip
    return digests

"""How `trtnemo check` prints what an audit found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import print_json
from trtnemo.errors import one_line

if TYPE_CHECKING:
    from trtnemo.checkpoint import AuditReport
    from trtnemo.checkpoint.auditing.audit import DeepSummary
    from trtnemo.checkpoint.rewrite.repair import Repair

SHOWN = 40


def audit_json(report: AuditReport) -> dict[str, Any]:
    """Return a report as JSON: its findings, the same in groups, and the rules that they are by."""
    from trtnemo.checkpoint.auditing.grouping import group_findings
    from trtnemo.checkpoint.rules import RULES, finding_json

    names = sorted({finding.rule for finding in report.findings})
    return {
        "passed": report.passed,
        **dataclasses.asdict(report),
        "findings": [finding_json(finding) for finding in report.findings],
        "groups": [dataclasses.asdict(group) for group in group_findings(report.findings)],
        "rules": {name: dataclasses.asdict(RULES[name]) for name in names},
    }


def print_audit(report: AuditReport) -> None:
    """Print what was looked at, every group of findings, and what the rules found mean."""
    from trtnemo.checkpoint.auditing.grouping import group_findings
    from trtnemo.checkpoint.rules import RULES

    formats = ", ".join(f"{count} {name}" for name, count in sorted(report.formats.items()))
    click.echo(f"{report.directory}: {report.tensors} tensors, {report.bytes:,} bytes; linear weights: {formats}")
    if report.producer:
        click.echo(f"quantized by {report.producer}")
    if report.modelopt is not None:
        both = report.modelopt
        click.echo(f"{len(both.tensors)} weights decoded by ModelOpt {both.modelopt} too, {len(both.findings)} differ")
    if report.remote_code:
        names = one_line(", ".join(report.remote_code))
        click.echo(f"config.json names Python code (auto_map), not imported here: {names}")
    if report.deep is not None:
        click.echo(_read_whole(report.deep))
    elif not report.values_read:
        click.echo("headers alone were read: nothing is said of the values of scales")
    groups = group_findings(report.findings)
    for group in groups[:SHOWN]:
        text = one_line(f"{group.subject} {_sentence(group.message)}")
        click.echo(f"{click.style(group.severity, bold=True)}: {text} [{group.rule}]")
    if len(groups) > SHOWN:
        click.echo(f"... and {len(groups) - SHOWN} more (--json prints all)")
    for name in dict.fromkeys(group.rule for group in groups):
        rule = RULES[name]
        mends = f"; `check --repair OUT` writes {rule.repair}" if rule.repair else ""
        click.echo(f"[{name}] at run time: {rule.effect}\n  -> {rule.remedy}{mends}")
    print_verdict(report.passed, (finding.severity for finding in report.findings))


def _read_whole(deep: DeepSummary) -> str:
    rate = deep.bytes / max(deep.seconds, 1e-9) / 1e9
    unjudged = (
        f"; {len(deep.unjudged)} tensors of other names, shapes or types are judged by no rule but for NaN"
        if deep.unjudged
        else ""
    )
    compared = (
        f"; {deep.digests} files compared with their published sha256" if deep.digests else "; no sha256 is known"
    )
    return f"every value was read: {deep.bytes:,} bytes in {deep.seconds:.1f} s, {rate:.2f} GB/s{unjudged}{compared}"


def _sentence(message: str) -> str:
    return message if message.split()[0] in ("lacks", "lack") else f"- {message}"


def print_verdict(passed: bool, severities: Iterable[str], unread: Sequence[str] = ()) -> None:
    """Print the last line: passed or not, how many findings of each kind, and what the verdict does not speak for."""
    click.echo(verdict(passed, list(severities)) + (f"; not read: {', '.join(unread)}" if unread else ""))


def verdict(passed: bool, given: Sequence[str]) -> str:
    """Return passed or not, and how many findings there are of each severity."""
    counts = {kind: given.count(kind) for kind in ("error", "warning", "note")}
    summary = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return f"{'passed' if passed else 'FAILED' if counts['error'] else 'NOT ALL READ'}: {summary}"


def print_rules(as_json: bool) -> None:
    """Print every rule of the audit."""
    from trtnemo.checkpoint.rules import RULES

    if as_json:
        print_json([dataclasses.asdict(rule) for rule in RULES.values()])
        return
    for rule in RULES.values():
        tags = [rule.severity] + ["inferred: never fails"] * rule.inferred + ["has a repair"] * bool(rule.repair)
        click.echo(f"{rule.name} ({', '.join(tags)}): {rule.finds}")
        click.echo(f"  at run time: {rule.effect}\n  -> {rule.remedy}")


def print_repair(repair: Repair, as_json: bool) -> None:
    """Print what a repair mended and what is still wrong with the copy."""
    if as_json:
        print_json({"mended": repair.mended, "before": audit_json(repair.before), "after": audit_json(repair.after)})
        return
    click.echo(f"mended: {', '.join(repair.mended) or 'nothing'}")
    print_audit(repair.after)

"""What a check finds of a start, and every issue that it may find."""

from __future__ import annotations

from trtnemo.findings import Finding
from trtnemo.launch.check import check_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import all_servers

ISSUES = [issue for server in all_servers().values() for issue in server.issues]


def rules_of(invocation: Invocation, capability: str | None = None) -> set[str]:
    """Return the rules that a start meets."""
    return {finding.rule for finding in check_invocation(invocation, capability).findings}


def found(text: str, version: str | None = None) -> dict[tuple[str, str], Finding]:
    """Return what a check finds of a pasted text, by severity and rule."""
    report = check_invocation(read_command(text, version))
    return {(finding.severity, finding.rule): finding for finding in report.findings}

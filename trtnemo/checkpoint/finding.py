"""What an audit found, each by a rule of the table."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.checkpoint.rules import RULES, Severity


@dataclass(frozen=True)
class Finding:
    """One thing wrong: how bad, by which rule, in which tensor or file, in words."""

    severity: Severity
    rule: str
    subject: str
    message: str


def found(rule: str, subject: str, message: str) -> Finding:
    """Return a finding of a rule, as bad as its rule says; raises KeyError for a rule that is not in the table."""
    return Finding(RULES[rule].severity, rule, subject, message)

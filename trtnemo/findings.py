"""What a check found, in one shape for commands, recipes and bundles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# error: the server refuses it, or cannot work; warning: it starts and does something else; note: worth knowing
Severity = Literal["error", "warning", "note"]
_ORDER: dict[str, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One thing found: how bad, by which rule, about which option or key, in words, and what to do."""

    severity: Severity
    rule: str
    subject: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """Message and remedy."""
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings worst first, otherwise in the order they were found, none twice."""
    return sorted(dict.fromkeys(findings), key=lambda finding: _ORDER[finding.severity])


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that stop a server."""
    return [finding for finding in findings if finding.severity == "error"]

"""What an installed server said of a start, beside what our rules found."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.findings import Finding


@dataclass(frozen=True)
class Opinion:
    """What a server itself said: its version, the last stage that the start reached, and what ended it, if it did."""

    server: str
    version: str
    python: str
    reached: str
    error: str

    @property
    def witness(self) -> str:
        """Who says it."""
        return f"{self.server} {self.version} itself"


def merged(findings: list[Finding], opinion: Opinion, asked: str | None) -> list[Finding]:
    """Return our findings with what the server said, agreement and disagreement told, none left out.

    `asked` is the version that the start names.
    """
    if asked is not None and asked != opinion.version:
        message = f"{asked} is asked for, {opinion.version} is installed: it speaks for itself alone"
        findings = [*findings, Finding("warning", "installed-version", "version", message)]
    ours = [finding for finding in findings if finding.severity == "error"]
    how_far = f"{opinion.witness} went as far as its {opinion.reached} ({opinion.python})"
    if opinion.error:
        sentence = " ".join(opinion.error.split())[:600]
        said = Finding(
            "error", "installed", "the server itself", f"{opinion.witness} stops after: {opinion.reached}; {sentence}"
        )
        if not ours:
            message = f"{opinion.witness} refuses a start in which our rules find no error: it counts"
            return [*findings, said, Finding("note", "disagreement", "the server itself", message)]
        return [*findings, said]
    told = Finding("note", "installed", "the server itself", f"{how_far}, and refused nothing")
    if not ours:
        return [*findings, told]
    names = ", ".join(finding.rule for finding in ours)
    message = f"our rules find errors ({names}) that {opinion.witness} does not see up to its {opinion.reached}"
    return [*findings, told, Finding("note", "disagreement", "the server itself", message)]

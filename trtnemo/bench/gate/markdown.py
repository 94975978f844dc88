"""A comparison as text that a pull request shows well."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.bench.gate.compare import Comparison, Verdict
from trtnemo.bench.gate.gate_file import GateFile
from trtnemo.bench.load.summary import METRICS

_WORDS = {
    Verdict.FINE: "Fine: no gated metric got worse by its threshold.",
    Verdict.REGRESSION: "Regression.",
    Verdict.CANNOT_TELL: "Cannot tell.",
}


def outcome(found: Sequence[Comparison]) -> Verdict:
    """Return what all gated metrics come to: one regression is one, and one doubt is one."""
    verdicts = {item.verdict for item in found}
    if Verdict.REGRESSION in verdicts:
        return Verdict.REGRESSION
    return Verdict.CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else Verdict.FINE


def render_markdown(found: Sequence[Comparison], gate: GateFile) -> str:
    """Return a verdict and a table."""
    verdict = outcome(found)
    lines = [f"**{_WORDS[verdict]}**{_more_runs(found) if verdict is Verdict.CANNOT_TELL else ''}", ""]
    lines += ["| metric | before | after | worse by | bounds | fails at | verdict |", "|---|--:|--:|--:|--:|--:|---|"]
    lines += [_row(item) for item in found]
    confidence = 1 - gate.alpha / len(gate.metrics)
    lines += [
        "",
        f"{found[0].runs} runs of each; each bound holds with {confidence:.1%} confidence. Negative is better.",
    ]
    return "\n".join(lines)


def _row(item: Comparison) -> str:
    metric = METRICS[item.metric]
    scale, unit = (1000.0, "ms") if metric.unit == "s" else (1.0, metric.unit)
    threshold = "" if item.threshold is None else f"{item.threshold:.0%}"
    verdict = "" if item.verdict is None else item.verdict.value
    return (
        f"| {item.metric} ({unit}) | {item.before * scale:,.2f} | {item.after * scale:,.2f} | {item.worse:+.1%} "
        f"| {item.low:+.1%} to {item.high:+.1%} | {threshold} | {verdict} |"
    )


def _more_runs(found: Sequence[Comparison]) -> str:
    needed = max((item.runs_needed or 0 for item in found), default=0)
    return f" {needed} runs of each would."

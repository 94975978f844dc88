"""Findings that say the same of many tensors, reported once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trtnemo.findings import Finding, Severity

_EXPERT = re.compile(r"(backbone|mtp)\.layers\.(\d+)\.mixer\.experts\.(\d+)\.(.+)")
_LAYER = re.compile(r"(backbone|mtp)\.layers\.(\d+)\.(.+)")
_Place = tuple[str, int]  # backbone or mtp, layer


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one rule and message about tensors that differ only in expert or layer."""

    severity: Severity
    rule: str
    subject: str
    message: str
    count: int


def group_findings(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Return the findings with experts of a layer, then layers, drawn together; in the order of their first."""
    experts: dict[tuple[Severity, str, str, str, _Place | None], list[int]] = {}
    for finding in findings:
        match = _EXPERT.fullmatch(finding.subject)
        if match:
            place: _Place | None = (match.group(1), int(match.group(2)))
            tail, number = f"experts.*.{match.group(4)}", int(match.group(3))
        else:
            layer = _LAYER.fullmatch(finding.subject)
            place = (layer.group(1), int(layer.group(2))) if layer else None
            tail, number = (layer.group(3) if layer else finding.subject), -1
        experts.setdefault((finding.severity, finding.rule, tail, finding.message, place), []).append(number)
    layers: dict[tuple[Severity, str, str, str, str | None], list[tuple[_Place | None, int]]] = {}
    for (severity, rule, tail, message, place), numbers in experts.items():
        who = None if place is None else _who(numbers)
        layers.setdefault((severity, rule, tail, message, who), []).append((place, len(numbers)))
    return [
        _group(severity, rule, tail, message, who, places)
        for (severity, rule, tail, message, who), places in layers.items()
    ]


def _group(
    severity: Severity, rule: str, tail: str, message: str, who: str | None, places: list[tuple[_Place | None, int]]
) -> FindingGroup:
    """Return one group; a missing tensor is one of its owner: `expert 17 of layer 23 lacks up_proj.weight_scale_2`."""
    owner, count = _owner(who, [place for place, _ in places]), sum(number for _, number in places)
    if owner is None:
        return FindingGroup(severity, rule, tail, message, count)
    tail = tail.removeprefix("experts.*.")
    if rule == "tensor-missing":
        verb = "lack" if owner[0].isdigit() else "lacks"
        return FindingGroup(severity, rule, owner, f"{verb} {tail}", count)
    return FindingGroup(severity, rule, f"{tail} of {owner}", message, count)


def _who(numbers: list[int]) -> str:
    """Return `expert 17`, `512 experts`, or nothing where no expert is meant."""
    if numbers == [-1]:
        return ""
    return f"expert {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} experts"


def _owner(who: str | None, places: list[_Place | None]) -> str | None:
    """Return `layer 3`, `expert 17 of layer 23`, `512 experts of each of 2 layers (1, 3)`, or nothing for a file."""
    names = [str(place[1]) if place[0] == "backbone" else f"mtp {place[1]}" for place in places if place is not None]
    if not names or who is None:
        return None
    where = f"layer {names[0]}" if len(names) == 1 else f"{len(names)} layers ({', '.join(names)})"
    if not who:
        return where
    return f"{who} of {'each of ' if len(names) > 1 else ''}{where}"

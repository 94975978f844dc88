"""What is wrong with a tensor beside those of its kind: experts of one layer, and tensors that should all differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from trtnemo.checkpoint.auditing.deep.measure import Measure
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

_EXPERT = re.compile(r"(.+\.experts)\.(\d+)\.(\w+)\.weight")
_FEWEST, _TIMES = 4, 4.0  # experts to compare; times the middle one's root of the mean square


def expert_findings(layers: Iterable[Mapping[str, float]]) -> Iterator[Finding]:
    """Yield experts far from those of their layer; layers: the sizes of their numbers, as `expert_sizes` has them."""
    for sizes in layers:
        middle = median(sizes.values())
        if len(sizes) < _FEWEST or middle <= 0:
            continue
        for name, size in sizes.items():
            if size > 0 and not middle / _TIMES <= size <= middle * _TIMES:
                message = f"its numbers are {size / middle:.2g} times those of its layer's middle expert"
                yield found("expert-far", name, message)


def expert_sizes(
    expected: Mapping[str, ExpectedTensor], measures: Mapping[str, Measure], scales: Mapping[str, float]
) -> list[dict[str, float]]:
    """Return the sizes of the experts' numbers of each layer and projection, by name.

    scales: the second scale of a weight, by its name, and 1 where there is none.
    """
    layers: dict[tuple[str, str], dict[str, float]] = {}
    for name in measures:
        match = _EXPERT.fullmatch(name)
        if match and name in expected:
            layers.setdefault((match[1], match[3]), {})[name] = _size(name, measures, scales.get(name, 1.0))
    return list(layers.values())


def _size(name: str, measures: Mapping[str, Measure], scale: float) -> float:
    """Return about the root of the mean square of what a weight stands for."""
    blocks = measures.get(f"{name.removesuffix('.weight')}.weight_scale")
    by_block = blocks.rms if blocks is not None and blocks.info.shape else 1.0
    one = measures[name]
    return min(one.rms, one.rms_of_others or one.rms) * by_block * scale  # without a number that is far from all others


def alike_findings(expected: Mapping[str, ExpectedTensor], measures: Mapping[str, Measure]) -> Iterator[Finding]:
    """Yield weights that another tensor has byte for byte."""
    first: dict[tuple[int, int], str] = {}
    for name, one in measures.items():
        item = expected.get(name)
        if item is None or not item.weights or one.zeros == one.elements:
            continue
        other = first.setdefault((one.digest, one.info.size), name)
        if other != name:
            yield found("weights-alike", name, f"it is {other} byte for byte")

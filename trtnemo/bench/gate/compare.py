"""Two sets of runs compared: how much worse the second is, how sure that is, and what follows.

Differences are of logarithms, so that 10 % more time and 10 % less speed count alike. The interval is a studentized
bootstrap (Efron and Tibshirani 1993, 12.5), which keeps its level with a dozen pairs where plain percentiles do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from trtnemo.bench.gate.gate_file import GateFile
from trtnemo.bench.load.summary import METRICS, Summary
from trtnemo.errors import ServerError, UsageError

Floats = npt.NDArray[np.float64]
LEAST_RUNS = 5
_RESAMPLES = 4000


class Verdict(Enum):
    """What a comparison comes to."""

    FINE = "fine"
    REGRESSION = "regression"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """One metric of two sets of runs. Shares: 0.1 is 10 % worse, negative is better.

    low, high: bounds that each hold with the gate's confidence; runs_needed: of each set, where it cannot tell.
    """

    metric: str
    before: float
    after: float
    worse: float
    low: float
    high: float
    threshold: float | None
    verdict: Verdict | None
    runs: int
    runs_needed: int | None = None


def compare(before: Sequence[Summary], after: Sequence[Summary], gate: GateFile, *, paired: bool) -> list[Comparison]:
    """Return a comparison for every metric that all runs have, those of the gate with a verdict.

    `paired`: the sets were run in turn, and number n of one beside number n of the other. Raises UsageError on too few
    runs or a gated metric that some run lacks, ServerError when the second left more requests unanswered.
    """
    if min(len(before), len(after)) < LEAST_RUNS or (paired and len(before) != len(after)):
        raise UsageError(
            f"{len(before)} and {len(after)} runs are too few to compare", remedy=f"Take {LEAST_RUNS} of each at least"
        )
    runs = [*before, *after]
    lost = [sum(run.lost for run in side) for side in (before, after)]
    if lost[1] > lost[0]:
        raise ServerError(
            f"{lost[1]} requests of the second were not answered, of the first {lost[0]}",
            remedy="A server that answers less is not compared by the rest",
        )
    missing = [name for name in gate.metrics if any(name not in run.metrics for run in runs)]
    if missing:
        raise UsageError(f"some runs have no {missing[0]}, which is gated")
    names = [name for name in METRICS if all(name in run.metrics for run in runs)]
    return [_compare(name, before, after, gate, paired) for name in names]


def _compare(
    name: str, before: Sequence[Summary], after: Sequence[Summary], gate: GateFile, paired: bool
) -> Comparison:
    first = np.array([run.metrics[name] for run in before])
    second = np.array([run.metrics[name] for run in after])
    sign = -1.0 if METRICS[name].more_is_better else 1.0
    worse = sign * np.log(np.maximum(first, 1e-12)), sign * np.log(np.maximum(second, 1e-12))
    level = gate.alpha / len(gate.metrics)
    center, error, low, high = interval(*worse, level, paired=paired)
    threshold = gate.metrics.get(name)
    count = min(len(first), len(second))
    verdict = needed = None
    if threshold is not None:
        verdict = judge(center, low, high, math.log1p(threshold))
        if verdict is Verdict.CANNOT_TELL:
            needed = max(count + 1, runs_needed(error, count, threshold, level, gate.power))
    return Comparison(
        metric=name,
        before=float(np.median(first)),
        after=float(np.median(second)),
        worse=_share(center),
        low=_share(low),
        high=_share(high),
        threshold=threshold,
        verdict=verdict,
        runs=count,
        runs_needed=needed,
    )


def _share(logarithm: float) -> float:
    return math.expm1(min(logarithm, 50.0))


def judge(center: float, low: float, high: float, threshold: float) -> Verdict:
    """Return what an interval of a slowdown means beside a threshold; all are logarithms.

    A slowdown fails that is certain and at least half the threshold; one is fine that is certainly below it.
    """
    if low > 0 and center >= threshold / 2:
        return Verdict.REGRESSION
    return Verdict.FINE if high < threshold else Verdict.CANNOT_TELL


def runs_needed(error: float, runs: int, threshold: float, level: float, power: float) -> int:
    """Return how many runs of each set would tell a slowdown of the threshold from none."""
    wanted = math.log1p(threshold) / (NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(power))
    return math.ceil(runs * (error / wanted) ** 2)


def interval(before: Floats, after: Floats, level: float, *, paired: bool) -> tuple[float, float, float, float]:
    """Return (mean difference, its standard error, lower bound, upper bound), each bound wrong with `level`."""
    random = np.random.default_rng(0)
    if paired:
        samples = [after - before]
        signs = [1.0]
    else:
        samples, signs = [after, before], [1.0, -1.0]
    center = sum(sign * float(sample.mean()) for sign, sample in zip(signs, samples, strict=True))
    error = _standard_error([sample[None] for sample in samples])[0]
    drawn = [sample[random.integers(0, len(sample), (_RESAMPLES, len(sample)))] for sample in samples]
    means = sum(sign * draw.mean(1) for sign, draw in zip(signs, drawn, strict=True))
    errors = np.maximum(_standard_error(drawn), 1e-9 + 1e-3 * error)
    studentized = (means - center) / errors
    below, above = np.quantile(studentized, [level, 1 - level])
    return center, float(error), center - float(above) * float(error), center - float(below) * float(error)


def _standard_error(samples: list[Floats]) -> Floats:
    """Return the standard error of the (difference of) means of each row."""
    return np.asarray(np.sqrt(sum(sample.var(1, ddof=1) / sample.shape[1] for sample in samples)))

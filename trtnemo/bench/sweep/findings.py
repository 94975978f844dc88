"""What measured points say, in words: which is best, where more load stops to pay, what drafts gained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trtnemo.bench.sweep.point import Point

PAYS = 0.5  # of the added load that must come out as output: twice the streams, 1.4 times the output
_TIMES = {"ttft": "to the first token", "itl": "between tokens"}


@dataclass(frozen=True)
class Finding:
    """One thing that a report says first."""

    title: str
    text: str


def findings(points: Sequence[Point], limits: Mapping[str, float]) -> list[Finding]:
    """Return the answer of a report; `limits` are seconds by metric, as a search had to keep them."""
    sound = [point for point in points if not point.summary.lost]
    within = [point for point in sound if keeps_limits(point, limits)]
    found = [_best(within, limits)]
    if within:
        best = max(within, key=lambda point: point.throughput)
        found += [_knee(best, sound), _fastest(within)] if not limits else [_knee(best, sound)]
    found.append(_drafts(sound))
    if lost := len(points) - len(sound):
        found.append(Finding("Left out", f"{_count(lost, 'point')} lost requests; no sentence above is about them."))
    return found


def keeps_limits(point: Point, limits: Mapping[str, float]) -> bool:
    """Return whether a point's times are within the limits; a time that was not measured is not."""
    return all(point.summary.metrics.get(name, math.inf) <= limit for name, limit in limits.items())


def _best(within: Sequence[Point], limits: Mapping[str, float]) -> Finding:
    title = "Best within the limits" if limits else "Most output"
    asked = f" The limits: {', '.join(_limit(*item) for item in limits.items())}." if limits else ""
    if not within:
        what = "No point kept the limits." if limits else "Every point lost requests."
        return Finding(title, f"{what}{asked}")
    best = max(within, key=lambda point: point.throughput)
    return Finding(title, f"{best.name}: {best.throughput:,.1f} output tokens/s of a device{_user(best)}.{asked}")


def _fastest(within: Sequence[Point]) -> Finding:
    timed = [point for point in within if point.speed is not None]
    if not timed:
        return Finding("Fastest for one user", "No time between tokens was measured.")
    fastest = max(timed, key=lambda point: point.speed or 0)
    said = f"{fastest.name}: {fastest.speed:,.1f} tokens/s, {fastest.throughput:,.1f} of a device."
    return Finding("Fastest for one user", said)


def _user(point: Point) -> str:
    """Return what one user gets at a point, as the end of a sentence."""
    first = point.summary.metrics.get("ttft_p99")
    parts = [
        f"{point.speed:,.1f} tokens/s of one user" if point.speed is not None else "",
        f"first token within {milliseconds(first)} in 99 of 100 requests" if first is not None else "",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _knee(best: Point, sound: Sequence[Point]) -> Finding:
    """Say where in the best point's series, of one server and growing load, more streams stop to pay."""
    series = {point.streams: point for point in sound if point.streams and point.place() == best.place()}
    steps = [series[streams] for streams in sorted(series, key=lambda streams: streams or 0)]
    if len(steps) < 3:
        return Finding("Knee", "Fewer than three loads of the best setting were measured: where more load stops to "
                       "pay cannot be told.")  # fmt: skip
    for before, after in itertools.pairwise(steps):
        load = math.log((after.streams or 1) / (before.streams or 1))
        if math.log(after.throughput / before.throughput) < PAYS * load:
            output, speed = change(before.throughput, after.throughput), _each(before.speed, after.speed)
            knee = _count(before.streams or 0, "stream")
            return Finding("Knee", f"At {knee}. From there to {after.streams} a device gives {output} output{speed}.")
    return Finding(
        "Knee", f"Not reached: output still grows at {steps[-1].streams} streams, the largest load measured."
    )


def _each(before: float | None, after: float | None) -> str:
    return f" and one user gets {change(before, after)} tokens/s" if before and after else ""


def _drafts(sound: Sequence[Point]) -> Finding:
    """Say what drafts gained: each point that drafts beside one that does not and is equal in all else."""
    plain = {(point.place(settings=False), point.streams, point.run.shape.rate): point for point in sound
             if not point.drafts}  # fmt: skip
    pairs = [
        (plain[key], point)
        for point in sound
        if point.drafts and (key := (point.place(settings=False), point.streams, point.run.shape.rate)) in plain
    ]
    if not pairs:
        drafted = any(point.drafts for point in sound)
        return Finding("Drafts", "No drafting point has one beside it that does not draft and is equal in all else."
                       if drafted else "No point drafted, or no server said how much it drafted.")  # fmt: skip
    gains = sorted((after.throughput / before.throughput, after) for before, after in pairs)
    (low, worst), (high, top) = gains[0], gains[-1]
    said = f"Output with drafts is {high:.2f} times that without at its best ({top.name})"
    if len(gains) > 1:
        said += f" and {low:.2f} times at its least ({worst.name})"
    accepted = [point.summary.acceptance for _, point in pairs if point.summary.acceptance is not None]
    if accepted:
        low_share, high_share = min(accepted), max(accepted)
        shares = f"{100 * low_share:.0f}" + (f" to {100 * high_share:.0f}" if high_share - low_share >= 0.01 else "")
        said += f"; {shares} % of the drafted tokens were accepted"
    return Finding("Drafts", f"{said}. {_count(len(pairs), 'pair')} of points compared.")


def change(before: float, after: float) -> str:
    """Return how much more or less a number has become, in words."""
    percent = 100 * (after / before - 1)
    if abs(percent) < 0.5:
        return "no more"
    return f"{abs(percent):.0f} % {'more' if percent > 0 else 'less'}"


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, short ones with a digit more."""
    return f"{1000 * seconds:,.1f} ms" if seconds < 0.01 else f"{1000 * seconds:,.0f} ms"


def _limit(name: str, seconds: float) -> str:
    kind, _, share = name.partition("_p")
    return f"{milliseconds(seconds)} {_TIMES[kind]} in {share} of 100 requests"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

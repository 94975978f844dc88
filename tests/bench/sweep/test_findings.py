"""What a report says first: the best point, the knee, what drafts gained, each from points whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.bench.load.record import Counters, RunRecord, Server
from trtnemo.bench.load.shape import LoadShape
from trtnemo.bench.load.summary import Summary
from trtnemo.bench.sweep.findings import findings, keeps_limits
from trtnemo.bench.sweep.point import Point


def point(streams: int, output: float, *, drafts: int = 0, lost: int = 0, ttft: float = 0.1, **server: Any) -> Point:
    """A point that gives so much; each of its users an equal part."""
    settings = (f"speculation.draft_tokens={drafts}",)
    counters = Counters(drafted_tokens=100 if drafts else 0, accepted_tokens=60 if drafts else 0, verifications=50)
    run = RunRecord(
        started=0,
        shape=LoadShape(concurrency=streams),
        server=Server(**{"url": "http://x", "model": "m", "settings": settings, **server}),
        machine={},
        counters=counters,
        generator="g",
        prompts_digest="d",
    )
    metrics = {
        "output_tokens_per_second": output,
        "output_tokens_per_second_per_device": output,
        "tokens_per_second_per_user": output / streams,
        "ttft_p99": ttft,
    }
    summary = Summary(10, lost, 0, lost, 0, 0, 1.0, metrics, counters.acceptance, None, None)
    return Point(f"drafts {drafts}, streams {streams}", run, summary)


def said(points: list[Point], limits: dict[str, float] | None = None) -> dict[str, str]:
    return {found.title: found.text for found in findings(points, limits or {})}


SERIES = [point(streams, output) for streams, output in ((1, 100), (2, 190), (4, 350), (8, 380), (16, 390))]


def test_without_limits_it_names_the_most_output_and_the_fastest() -> None:
    found = said(SERIES)
    assert found["Most output"].startswith("drafts 0, streams 16: 390.0 output tokens/s of a device; 24.4 tokens/s")
    assert found["Fastest for one user"].startswith("drafts 0, streams 1: 100.0 tokens/s")
    assert next(iter(found)) == "Most output"


def test_the_best_keeps_the_limits() -> None:
    points = [point(1, 100, ttft=0.05), point(4, 300, ttft=0.2), point(8, 400, ttft=0.3)]
    found = said(points, {"ttft_p99": 0.25})
    assert found["Best within the limits"].startswith("drafts 0, streams 4")
    assert "250 ms to the first token in 99 of 100 requests" in found["Best within the limits"]
    assert said(points, {"ttft_p99": 0.01})["Best within the limits"].startswith("No point kept the limits.")
    assert not keeps_limits(points[0], {"itl_p99": 9.0})  # what was not measured keeps none


def test_the_knee_is_where_more_streams_stop_to_pay() -> None:
    knee = said(SERIES)["Knee"]
    assert knee == "At 4 streams. From there to 8 a device gives 9 % more output and one user gets 46 % less tokens/s."
    assert said(SERIES[:3])["Knee"].startswith("Not reached: output still grows at 4 streams")
    assert "Fewer than three loads" in said(SERIES[:2])["Knee"]


def test_the_knee_is_of_one_setting_and_the_loads_in_any_order() -> None:
    others = [point(streams, 50, drafts=2) for streams in (1, 3, 6)]
    assert said([*others, *reversed(SERIES)])["Knee"] == said(SERIES)["Knee"]


def test_drafts_are_compared_with_points_that_are_equal_in_all_else() -> None:
    points = [point(1, 100), point(4, 300), point(1, 150, drafts=3), point(4, 270, drafts=3)]
    drafts = said(points)["Drafts"]
    assert "1.50 times that without at its best (drafts 3, streams 1)" in drafts
    assert "0.90 times at its least (drafts 3, streams 4)" in drafts
    assert "60 % of the drafted tokens" in drafts
    assert "2 pairs" in drafts
    elsewhere = [point(1, 100, model="other"), point(2, 100), point(1, 150, drafts=3)]
    assert said(elsewhere)["Drafts"].startswith("No drafting point has one beside it")
    assert said(SERIES)["Drafts"].startswith("No point drafted")


@pytest.mark.parametrize("limits", [{}, {"ttft_p99": 1.0}])
def test_a_point_that_lost_requests_is_never_the_best(limits: dict[str, float]) -> None:
    found = said([point(1, 100), point(8, 900, lost=1)], limits)
    assert "streams 1:" in next(iter(found.values()))
    assert found["Left out"].startswith("1 point lost requests")
    nothing = said([point(8, 900, lost=1)], limits)
    assert next(iter(nothing.values())).startswith(("Every point lost requests.", "No point kept the limits."))

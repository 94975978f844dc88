"""Charts as SVG: whole XML, escaped, with scales that hold their values and titles that say them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.bench.sweep.svg import LONGEST, Column, Mark, Scale, node, row_chart, shorten

POSITIVE = st.floats(1e-6, 1e9)


def test_texts_are_escaped_wherever_they_stand() -> None:
    made = node("text", '<b> & "c"', class_='"><x', text_anchor="end")
    assert made == '<text class="&#34;&gt;&lt;x" text-anchor="end">&lt;b&gt; &amp; &#34;c&#34;</text>'
    assert node("g", node("title", "\x07\ud800")) == "<g><title>\\x07\\ud800</title></g>"


def test_every_mark_says_its_name_and_lies_in_the_picture() -> None:
    names = ["short", "x" * 90, "<script>"]
    bars = Column("bars", [[Mark("p50", value, f"bar {value}", f"{value}")] for value in (1, 20, 0)])
    dots = Column("dots", [[Mark("p50", 1, "dot 1"), Mark("p99", 900, "dot 900")], [], []], is_log=True)
    chart = ElementTree.fromstring(row_chart("what it shows", names, [bars, dots]))  # noqa: S314 - we made it
    assert chart.get("aria-label") == "what it shows"
    titles = [item.text for item in chart.iter("title")]
    assert {*names, "bar 1", "bar 20", "bar 0", "dot 1", "dot 900"} == set(titles)
    width = float(chart.get("viewBox", "").split()[2])
    assert all(0 <= float(item.get("cx", 0)) <= width for item in chart.iter("circle"))
    ends = [float(item.get("x", 0)) + float(item.get("width", 0)) for item in chart.iter("rect")]
    assert max(ends) <= width
    long = [item.text for item in chart.iter("text") if item.text and "…" in item.text]
    assert [len(text) for text in long] == [LONGEST]


def test_a_long_name_keeps_both_ends() -> None:
    assert shorten("draft_tokens=3, input_tokens=200, concurrency=16", 21) == "draft_toke…urrency=16"
    assert shorten("short", 21) == "short"


@given(st.floats(0, 1e9), st.integers(3, 9))
def test_a_linear_scale_holds_its_values_with_few_round_ticks(high: float, most: int) -> None:
    scale = Scale.linear(high, most)
    assert scale.low == 0
    assert scale.high >= high
    assert 2 <= len(scale.ticks) <= most + 2
    assert 0 <= scale.place(high) <= 1


@given(st.lists(POSITIVE, max_size=5))
def test_a_logarithmic_scale_holds_its_values_with_few_ticks(values: list[float]) -> None:
    scale = Scale.log(values)
    assert all(0 < scale.place(value) < 1 for value in values)
    assert all(0 <= scale.place(tick) <= 1 for tick in scale.ticks)
    assert len(scale.ticks) <= 13


@pytest.mark.parametrize("values", [[], [0.0], [-1.0, 0.0]])
def test_a_logarithmic_scale_of_nothing_above_zero_is_still_one(values: list[float]) -> None:
    assert 0 <= Scale.log(values).place(0) <= 1

"""At which lengths of a prompt a state is kept for the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.runtime.prefixes.ladder import BACK, LEAST_TOKENS, Ladder


@dataclass(frozen=True)
class State:
    length: int
    nbytes: int = 1

    def swap_out(self) -> None:
        pass


def climbed(end: int, places: Any, chunk: int, covered: int = 0) -> list[int]:
    ladder = Ladder(end, covered, chunk)
    for place in places:
        if ladder.wants(place):
            ladder.climb(State(place))
    return [state.length for state in ladder.rungs()]


def test_a_long_prompt_has_a_rung_near_its_end_and_two_before_it() -> None:
    assert climbed(20_000, range(512, 20_000, 512), 512) == [15_872, 18_944, 19_968]


def test_what_is_short_has_none() -> None:
    assert climbed(1500, [512, 896], 512) == []
    assert climbed(1500, [512, 1024], 512) == [1024]


@pytest.mark.parametrize(("end", "covered", "is_wanted"), [
    (1023, 0, False), (1024, 0, True), (5000, 3977, False), (5000, 3976, True),
    (100_000, 93_751, False), (100_000, 93_750, True),
])  # fmt: skip
def test_a_prompt_is_written_when_enough_of_it_is_not_on_disk(end: int, covered: int, is_wanted: bool) -> None:
    assert Ladder(end, covered, 512).is_wanted is is_wanted
    assert bool(climbed(end, [LEAST_TOKENS], end, covered)) is (is_wanted and end > LEAST_TOKENS)


@given(st.lists(st.integers(1, 4).map(lambda units: 128 * units), max_size=80), st.integers(1, 600))
def test_each_rung_is_the_last_end_of_a_chunk_that_is_far_enough_from_the_end(lengths: Any, rest: int) -> None:
    places = [sum(lengths[: count + 1]) for count in range(len(lengths))]
    end = (places[-1] if places else 0) + rest
    usable = [place for place in places if place >= LEAST_TOKENS]
    expected = {max(near) for back in BACK if (near := [place for place in usable if place <= end - back])}
    found = climbed(end, places, 600)
    if end >= LEAST_TOKENS:
        assert found == sorted(found)
        assert set(found) == expected

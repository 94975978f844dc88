"""Every pick of an expert gets one cell, whatever the picks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.backends.tensorrt.lower.grouping import group


@st.composite
def routings(draw: Any) -> Any:
    """Return (picks [T, K] without repeats in a row, experts, experts of a part, most cells)."""
    part_size = draw(st.integers(1, 8))
    experts = part_size * draw(st.integers(1, 4))
    top_k = draw(st.integers(1, min(experts, 4)))
    # few experts to choose from make them popular
    popular = draw(st.integers(top_k, experts))
    row = st.lists(st.integers(0, popular - 1), min_size=top_k, max_size=top_k, unique=True)
    rows = draw(st.lists(row, min_size=1, max_size=40))
    return np.array(rows, np.int32), experts, part_size, draw(st.integers(1, 9))


@settings(deadline=None)
@given(routings())
def test_every_pick_is_answered_once_by_its_own_expert_with_its_own_token(routing: Any) -> None:
    picked, _, part_size, most_cells = routing
    answered = np.zeros(picked.shape, int)
    for found in group(*routing):
        answered += found.has_cell
        size, cells = found.token_of_cell.shape
        assert (size, 1 <= cells <= most_cells) == (part_size, True)
        tokens, places = np.nonzero(found.has_cell)
        cell = found.cell_of_pick[tokens, places]
        assert np.array_equal(found.token_of_cell.reshape(-1)[cell], tokens)
        assert np.array_equal(found.part * part_size + cell // cells, picked[tokens, places])
        assert len(set(cell.tolist())) == len(cell), "two picks share a cell"
    assert (answered == 1).all()


@settings(deadline=None)
@given(routings())
def test_a_round_reads_and_writes_within_its_arrays(routing: Any) -> None:
    picked, experts, part_size, _ = routing
    for found in group(*routing):
        assert found.token_of_cell.dtype == found.cell_of_pick.dtype == np.int32
        assert found.cell_of_pick.shape == found.has_cell.shape == picked.shape
        assert 0 <= found.token_of_cell.min() <= found.token_of_cell.max() < len(picked)
        assert 0 <= found.cell_of_pick.min() <= found.cell_of_pick.max() < found.token_of_cell.size
        assert 0 <= found.part < experts // part_size


@settings(deadline=None)
@given(routings())
def test_parts_come_in_order_and_those_without_picks_are_left_out(routing: Any) -> None:
    picked, _, part_size, _ = routing
    rounds = list(group(*routing))
    parts = [found.part for found in rounds]
    assert parts == sorted(parts)
    assert set(parts) == set((picked // part_size).reshape(-1).tolist())
    assert all(found.has_cell.any() for found in rounds)


@settings(deadline=None)
@given(routings())
def test_there_are_as_many_rounds_as_the_most_popular_expert_of_each_part_needs(routing: Any) -> None:
    picked, experts, part_size, most_cells = routing
    counts = np.bincount(picked.reshape(-1), minlength=experts).reshape(-1, part_size).max(1)
    assert len(list(group(*routing))) == sum(-(-count // most_cells) for count in counts.tolist())


def test_a_very_popular_expert_has_several_rounds_and_loses_no_token() -> None:
    picked = np.full((100, 1), 5, np.int32)
    rounds = list(group(picked, experts=8, part_size=4, most_cells=32))
    assert [found.part for found in rounds] == [1, 1, 1, 1]
    assert [found.token_of_cell.shape for found in rounds] == [(4, 32), (4, 32), (4, 32), (4, 4)]
    assert [int(found.has_cell.sum()) for found in rounds] == [32, 32, 32, 4]
    seen = np.concatenate([found.token_of_cell[1] for found in rounds])
    assert seen.tolist() == list(range(100))


def test_a_sum_over_the_rounds_is_the_routed_sum() -> None:
    random = np.random.default_rng(3)
    tokens, experts, top_k = 50, 12, 3
    picked = np.stack([random.permutation(experts)[:top_k] for _ in range(tokens)]).astype(np.int32)
    x, scale = random.standard_normal(tokens), random.standard_normal(experts)
    weights = random.random((tokens, top_k))
    total = np.zeros(tokens)
    for found in group(picked, experts, 4, 5):
        mine = scale[found.part * 4 : found.part * 4 + 4]
        made = (x[found.token_of_cell] * mine[:, None]).reshape(-1)
        total += (made[found.cell_of_pick] * weights * found.has_cell).sum(1)
    assert np.allclose(total, x * (scale[picked] * weights).sum(1), atol=1e-12)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_picks_of_either_integer_type_are_taken(kind: Any) -> None:
    (found,) = group(np.array([[1, 0]], kind), experts=2, part_size=2, most_cells=4)
    assert found.token_of_cell.tolist() == [[0], [0]]
    assert found.cell_of_pick.tolist() == [[1, 0]]

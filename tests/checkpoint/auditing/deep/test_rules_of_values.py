"""Each threshold on values at its edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trtnemo.checkpoint.auditing.deep.measure import Measure
from trtnemo.checkpoint.auditing.deep.rules_of_values import value_findings
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo

NORMAL = np.array([5, 9, 9, 8, 8, 7, 5, 4] * 2)


def rules(one: Measure, *, is_scale: bool = False) -> list[str]:
    info = one.info
    item = ExpectedTensor(
        info.name, info.shape, (info.storage,), is_scale=is_scale, weights=0 if is_scale else one.elements
    )
    return [finding.rule for finding in value_findings(item, one)]


def tensor(storage: StorageType, *shape: int) -> Measure:
    return Measure(TensorInfo("a.weight", storage, shape, "f", 0, 0))


def coded(counts: Any) -> Measure:
    """Return a packed tensor whose codes are there so often (in 512ths of its codes)."""
    one = tensor(StorageType.U8, 64, 128)
    for code, count in enumerate(counts):
        one.bytes[code | (code << 4)] = count * 64
    one.settle_codes()
    return one


def scales(**shares: float) -> Measure:
    one = tensor(StorageType.F8_E4M3, 64, 64)
    for code, share in shares.items():
        one.bytes[int(code[1:], 16)] = round(4096 * share)
    one.settle_codes()
    return one


def test_codes_of_either_sign_that_are_large_are_enough() -> None:
    without = NORMAL.copy()
    without[[6, 7, 14, 15]] = 0
    assert rules(coded(without)) == ["codes-unused"]
    for code in (6, 7, 14, 15):
        one = without.copy()
        one[code] = 1
        assert "codes-unused" not in rules(coded(one))


def test_codes_are_flat_when_all_are_equally_frequent() -> None:
    assert rules(coded(np.full(16, 8))) == ["codes-flat"]
    assert rules(coded(NORMAL)) == []


@pytest.mark.parametrize(("share", "expected"), [(0.2, []), (0.3, ["block-scales-saturated"])])
def test_a_quarter_of_block_scales_may_be_the_largest(share: float, expected: list[str]) -> None:
    assert rules(scales(x7E=share, x70=1 - share), is_scale=True) == expected


@pytest.mark.parametrize(("code", "expected"), [("x68", []), ("x67", ["second-scale-large"])])  # 64, and 60
def test_block_scales_reach_64(code: str, expected: list[str]) -> None:
    assert rules(scales(**{code: 1.0}), is_scale=True) == expected


def test_scales_spread_over_half_of_all_codes_are_flat() -> None:
    one = tensor(StorageType.F8_E4M3, 64, 64)
    one.bytes[1:127] = 32
    one.settle_codes()
    assert rules(one, is_scale=True) == ["codes-flat"]


@pytest.mark.parametrize(("squares", "expected"), [(1.0, []), (float("inf"), ["value-far"])])
def test_several_numbers_far_away_do_not_hide_each_other(squares: float, expected: list[str]) -> None:
    one = tensor(StorageType.BF16, 64, 64)
    one.largest, one.squares, one.row_squares = (1e30, squares, float("inf")) if expected else (0.1, squares, 0.1)
    assert rules(one) == expected


@pytest.mark.parametrize(("times", "expected"), [(900, []), (1100, ["value-far"])])
def test_a_number_is_far_at_a_thousand_times_the_rest(times: float, expected: list[str]) -> None:
    one = tensor(StorageType.BF16, 64, 64)
    one.squares, one.largest = 4032.0, float(times)
    assert rules(one) == expected

"""What is wrong with the values of one tensor.

Thresholds lie far outside of what good checkpoints have: random ones, `tiny` as trained, and ModelOpt's exports
(docs/weights.md). What a release may have all the same is a warning, inferred, and fails nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from trtnemo.checkpoint.auditing.deep.measure import Measure
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.format.codecs import e4m3_values
from trtnemo.checkpoint.format.storage import PLAIN, StorageType
from trtnemo.checkpoint.rules import found
from trtnemo.findings import Finding

FAR = 1000.0  # times the root of the mean square: weights of trained networks stay below a few hundred
_LEAST = 1e-12  # below, squares are no float32
_FEW = 1024  # numbers: of fewer, shares say nothing
_FLAT = 1.25  # most frequent over least frequent code
_LEAST_SCALE = 64.0  # the largest block scale is 448 by the largest magnitude, and 256 or more by other searches
_INPUT_SCALE = 1000.0  # numbers of 448,000 in FP8: the family's are far below 1
_SATURATED = 0.25  # share of block scales at 448
_SMALL = {"A_log": 30.0, "dt_bias": 100.0, "D": 1000.0, "e_score_correction_bias": 1000.0, "norm.weight": 1000.0,
          "norm_f.weight": 1000.0}  # fmt: skip


def value_findings(item: ExpectedTensor, one: Measure) -> Iterator[Finding]:
    """Yield what a tensor's own values show."""
    name = item.name
    if one.nans or one.infinities:
        yield from number_findings(name, one)
        return
    if item.is_scale:
        yield from _block_scales(name, one)
        if name.endswith("input_scale") and one.largest > _INPUT_SCALE:
            yield found("value-out-of-range", name, f"it is {one.largest:.3g}, beyond {_INPUT_SCALE:g}")
        return
    if one.elements > 1 and one.zeros == one.elements and not name.endswith(("bias", "dt_bias")):
        yield found("tensor-zero", name, f"all {one.elements:,} numbers are zero")
        return
    if item.weights and one.zero_rows:
        yield found("rows-zero", name, f"{one.zero_rows} rows are all zero, the first is row {one.first_zero_row}")
    if one.info.storage in PLAIN:
        yield from _numbers(item, one)
    elif item.weights:
        yield from _codes(name, one)


def number_findings(name: str, one: Measure) -> Iterator[Finding]:
    """Yield that numbers of a tensor are none."""
    if one.nans or one.infinities:
        what = f"{one.nans} of {one.elements:,} numbers are NaN, {one.infinities} infinite"
        row = f", the first in row {one.first_not_finite}" if one.first_not_finite is not None else ""
        yield found("value-not-finite", name, f"{what}{row}")


def _numbers(item: ExpectedTensor, one: Measure) -> Iterator[Finding]:
    rest = one.rms_of_others
    is_far = one.largest > max(FAR * rest, _LEAST) or math.isinf(rest)
    if item.weights and one.elements >= _FEW and is_far:
        times = "as large as others" if math.isinf(rest) else f"{one.largest / rest:,.0f} times" if rest else "alone"
        yield found("value-far", item.name, f"{one.largest:.3g} in row {one.largest_row} is {times} beside other rows")
    for ending, most in _SMALL.items():
        if item.name.endswith(ending) and one.largest > most:
            yield found("value-out-of-range", item.name, f"its largest magnitude is {one.largest:.3g}, beyond {most:g}")


def _codes(name: str, one: Measure) -> Iterator[Finding]:
    """Yield what codes show: how often each is there."""
    if one.elements < _FEW:
        return
    if one.info.storage is StorageType.U8:
        counts = one.codes
        if counts.max() == one.elements:
            yield found("codes-unused", name, "all of its codes are the same")
        elif not counts[[6, 7, 14, 15]].any():
            yield found("codes-unused", name, "no code stands for 4 or 6, which the largest of each block becomes")
        if counts.max() < (_FLAT + 6 / (one.elements / 16) ** 0.5) * counts.min():  # six deviations of a count
            yield found("codes-flat", name, "all 16 codes are equally frequent, as of bytes that are no weights")
    elif one.largest < float(e4m3_values()[0x7E]) / 2:
        yield found("codes-unused", name, f"the largest code stands for {one.largest:g}, where a scale leaves 448")


def _block_scales(name: str, one: Measure) -> Iterator[Finding]:
    if one.info.storage is not StorageType.F8_E4M3 or not one.elements:
        return
    if one.largest < _LEAST_SCALE:
        yield found("second-scale-large", name, f"the largest block scale is {one.largest:g}, and 448 may be used")
    share = float(one.bytes[0x7E]) / one.elements
    if one.elements >= _FEW and share > _SATURATED:
        yield found("block-scales-saturated", name, f"{share:.0%} of the block scales are 448, the largest there is")
    used = np.count_nonzero(one.bytes)
    if one.elements >= _FEW and one.bytes.max() * used < _FLAT * one.elements and used > 64:
        yield found("codes-flat", name, "its scales are spread evenly over all codes, as of bytes that are no scales")

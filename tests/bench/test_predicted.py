"""benchmarks/predicted.json: a bound that something real has beaten is no bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.paths import ROOT
from trtnemo.bench.calibrate import calibrated_cpu
from trtnemo.bench.predict import plan_of, predictor
from trtnemo.recipe import load_recipe


def test_no_measured_rate_exceeds_its_bound() -> None:
    rows = json.loads((ROOT / "benchmarks" / "predicted.json").read_text())
    assert len(rows) >= 14
    for row in rows:
        share = row["measured_tokens_per_second"] / row["bound_tokens_per_second"]
        assert row["share"] == pytest.approx(share, abs=0.002)
        assert 0 < share < 1


def test_the_bound_falls_with_prompts_and_rises_with_streams() -> None:
    predict = predictor(plan_of(load_recipe("tiny")))
    loads = [(batch, prompt) for batch in (1, 4) for prompt in (10, 300)]
    rate = {load: predict(*load, 64.0, None).tokens_per_second for load in loads}
    assert rate[1, 10] > rate[1, 300]
    assert rate[4, 10] > rate[1, 10]
    assert predict(1, 10, 64.0, None).tokens_per_second == pytest.approx(rate[1, 10])


def test_the_cpu_is_calibrated_for_every_format_its_kernels_know() -> None:
    device = calibrated_cpu()
    assert device.bandwidth > 0.5e9
    rates: tuple[Any, ...] = (device.bf16, device.fp8, device.fp4)
    assert min(rates) > 0.001
    assert "native kernels" in device.source

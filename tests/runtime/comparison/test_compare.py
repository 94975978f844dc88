"""Interpreted plans against the torch lowering: every block, every token, and a fault where it is made."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.settings import PHASES
from trtnemo.backends.tensorrt.plans import read_index
from trtnemo.backends.tensorrt.run import TensorrtExecutor
from trtnemo.backends.tensorrt.run.graph_runner import GraphRunner
from trtnemo.engine import Engine
from trtnemo.errors import MachineError
from trtnemo.runtime.comparison.compare import compare
from trtnemo.trt.interpreter import kinds


@pytest.fixture(scope="module")
def compared(make_plans: Any) -> Any:
    """Return a function of steps that gives tiny's engine and its comparison, made once."""
    made = {}

    def make(steps: Any) -> Any:
        engine = Engine.open(make_plans("tiny", "tensorrt.compute=weight_only"))
        if steps not in made:
            made[steps] = compare(engine, steps=steps)
        return engine, made[steps]

    return make


@pytest.mark.parametrize("steps", [16, pytest.param(64, marks=pytest.mark.slow)])
def test_in_float32_no_number_of_tiny_differs_by_a_thousandth(compared: Any, steps: Any) -> None:
    _, found = compared(steps)
    assert found.passed
    assert max(block.difference for block in found.blocks) < 1e-3
    assert found.logits_difference < 1e-3
    assert (found.same_top, found.same_draft_top) == (found.rows, found.draft_rows)
    assert found.rows > 3 * steps
    assert found.draft_rows > 3 * (steps // 2 - 2)


def test_every_block_of_target_and_draft_head_is_compared_in_every_phase_it_runs_in(compared: Any) -> None:
    engine, found = compared(16)
    graphs = [engine.target, engine.mtp]
    index = read_index(engine.directory)
    _, programs = plan_networks(graphs, index.plain, index.settings)
    wanted = {("target.logits", "logits", "decode"), ("target.logits", "logits", "prefill")}
    wanted.add(("mtp.logits", "logits", "decode"))
    for graph, phase in itertools.product(programs, PHASES):
        if (graph, phase) == ("mtp", "prefill"):
            continue  # it leaves nothing but its cache, which the drafts after it read
        kinds = [(block.path, block.kind, phase) for block in programs[graph][phase]]
        wanted |= {key for key in kinds if key[1] != "logits"}
    assert {(block.path, block.kind, block.phase) for block in found.blocks} == wanted


@pytest.mark.parametrize(
    "spoil", [lambda logits: logits * float("nan"), lambda logits: logits.flip(-1)], ids=["not a number", "reversed"]
)
def test_wrong_logits_are_no_agreement(make_plans: Any, monkeypatch: pytest.MonkeyPatch, spoil: Any) -> None:
    right = GraphRunner.logits
    monkeypatch.setattr(GraphRunner, "logits", lambda runner, hidden: spoil(right(runner, hidden)))
    found = compare(Engine.open(make_plans("mixed")), steps=2)
    assert not found.passed
    assert found.worst.kind == "logits"
    assert not found.logits_difference < 1


def test_a_cache_of_the_draft_head_that_takes_nothing_in_is_no_agreement(
    make_plans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorrtExecutor, "_feed", lambda executor, feeds: None)
    found = compare(Engine.open(make_plans("tiny", "tensorrt.compute=weight_only")), steps=8)
    assert not found.passed
    assert "mtp.layers.0" in {block.path for block in found.blocks if block.relative > found.tolerance}


@pytest.mark.parametrize("checkpoint", ["tiny", "nvfp4", "mixed"])
def test_quantized_products_choose_the_same_tokens(make_plans: Any, checkpoint: str) -> None:
    found = compare(Engine.open(make_plans(checkpoint)), steps=24)
    assert found.passed
    assert found.same_top >= 0.995 * found.rows
    assert found.same_draft_top >= 0.995 * found.draft_rows


def test_products_in_bfloat16_stay_within_their_tolerance(make_plans: Any) -> None:
    found = compare(Engine.open(make_plans("mixed", "tensorrt.matmul_dtype=bfloat16")), steps=4)
    assert found.passed
    assert 1e-4 < found.worst.relative < found.tolerance == 0.05


def test_a_wrong_layer_shows_in_the_blocks_that_use_it_and_in_no_other(
    make_plans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Any = kinds.KINDS["ATTENTION_INPUT"]
    monkeypatch.setitem(kinds.KINDS, "ATTENTION_INPUT", lambda layer, inputs: [right(layer, inputs)[0] * 1.1])
    found = compare(Engine.open(make_plans("tiny", "tensorrt.compute=weight_only")), steps=2)
    assert not found.passed
    assert {block.kind for block in found.blocks if block.relative > found.tolerance} == {"attention"}


def test_weights_that_would_not_fit_in_float32_are_refused(make_plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    with pytest.raises(MachineError, match="1 are free"):
        compare(Engine.open(make_plans("tiny", "tensorrt.compute=weight_only")))

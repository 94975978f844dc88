"""Verdicts against the published minimum hardware (the fact sheet (section 2)), and the shipped recipes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plan.deploy import deployment, fit_of, small_network, super_network, verdict_of
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import Device, find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import make_plan
from trtnemo.plan.verdict import judge
from trtnemo.recipe import load_recipe

# one sequence of 32K tokens, no drafts: what the least hardware must do
LEAST = {"server": "trtllm", "version": "1.3.0rc12", "max_batch_size": 1, "memory_fraction": 0.9}


def plan_of(name: Any, *changes: Any) -> Any:
    recipe = load_recipe(name, changes)
    network = find_network(recipe.checkpoint)
    return make_plan(network, to_deployment(recipe, network), find_device(recipe.hardware.name))


@pytest.mark.parametrize(
    ("precision", "device", "count"),
    [
        ("BF16", "h100", 4),
        ("BF16", "h200", 4),
        ("BF16", "b200", 2),
        ("FP8", "h100", 2),
        ("NVFP4", "b200", 1),
        ("NVFP4", "dgx-spark", 1),
        ("NVFP4", "h100", 2),
        ("NVFP4", "h200", 2),
    ],
)
def test_the_published_minimum_is_enough(precision: str, device: str, count: int) -> None:
    assert verdict_of(super_network(precision), device, tensor=count, **LEAST) in ("fits", "starts")


@pytest.mark.parametrize(
    ("precision", "device", "count"),
    [("BF16", "h100", 2), ("BF16", "b200", 1), ("BF16", "h200", 1), ("FP8", "h100", 1)],
)
def test_fewer_than_the_published_minimum_are_not(precision: str, device: str, count: int) -> None:
    # four is the least for BF16 on Hopper, and three cannot share the heads: two are the next fewer
    assert verdict_of(super_network(precision), device, tensor=count, **LEAST) == "no"


@pytest.mark.parametrize(
    ("precision", "device", "count"), [("BF16", "h200", 2), ("NVFP4", "h100", 1), ("NVFP4", "h200", 1)]
)
def test_where_the_plan_asks_for_less_than_is_published_it_says_so_by_number(
    precision: str, device: str, count: int
) -> None:
    # Published: 4, 2 and 2. By bytes less is enough for one sequence: 123.6 GB of 150.8 GB on each of two H200,
    # 80.3 GB (74.4 GB without the draft head) of 85.5 GB on one H100. The published figures leave room for service.
    fields = {**LEAST, "tensor": count}
    fit = fit_of(super_network(precision), deployment(**fields), device)
    assert fit.fits(1, 32768)


def test_one_h200_leaves_the_published_room() -> None:
    # the fact sheet (section 2), computed: NVFP4 leaves about 60 GiB for state, FP8 14 to 19 GiB after the runtime
    for precision, drafts, low, high in (("NVFP4", 3, 57, 64), ("FP8", 3, 14, 20)):
        fit = fit_of(super_network(precision), deployment(draft_tokens=drafts), "h200")
        room = fit.need(0, 1).spare / (1 << 30)
        assert low < room < high, (precision, room)


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("b200", "fits"),
        ("dgx-spark", "starts"),
        ("h100", "fits"),
        ("rtx-pro-6000", "fits"),
        ("rtx-pro-6000-trtllm", "fits"),
        ("gb200", "starts"),
        ("b200x2-latency", "fits"),
        ("b200x8-throughput", "starts"),
    ],
)
def test_shipped_recipes_start(recipe: str, kind: str) -> None:
    plan = plan_of(recipe)
    assert plan.verdict.kind == kind
    assert (plan.verdict.resident == plan.deployment.max_batch_size) == (kind == "fits")
    assert plan.verdict.sentence.startswith(kind)


def test_the_verdict_that_starts_counts_who_is_resident_by_hand() -> None:
    # gb200: 189,471 MiB, less 25.0 GiB of weights, 512 x 162.34 MiB of states and the workspace; 0.8 of it for fp8 KV
    plan = plan_of("gb200")
    left = (189_471 << 20) - plan.need.weights - 512 * (160 * (1 << 20) + 40 * 10240 * 3 * 2) - plan.workspace.total
    assert plan.verdict.resident == int(left * 0.8) // (262_144 * 4096)


def tiny_device(memory_mib: Any) -> Any:
    return Device(name="d", title="D", memory_mib=memory_mib, bandwidth_gbs=1, bf16=1, source="a test")


def test_each_reason_for_no_has_words_of_its_own() -> None:
    def sentence(memory_mib: Any, **fields: Any) -> Any:
        return judge(
            fit_of(small_network(), deployment(**{"max_num_tokens": 1, **fields}), tiny_device(memory_mib))
        ).sentence

    assert "weights alone take" in sentence(1)
    assert "not one sequence at 1,000,000,000 tokens" in sentence(4096, max_seq_len=10**9)
    assert "the workspace takes 2.0 GiB and the server's share of 1 leaves 0.0" in sentence(4096, server="sglang")
    crowded = {"max_batch_size": 10**6, "max_seq_len": 64, "server": "trtllm"}
    assert "states of 1000000 sequences leave no room for one" in sentence(4096, **crowded)


def test_idle_devices_are_told() -> None:
    plan = plan_of("b200", "hardware.count=4")
    assert plan.verdict.sentence.startswith("fits: 1 of 4 B200")

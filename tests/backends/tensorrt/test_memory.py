"""What the builder says of Super's full width: no bank and no weight is expanded, in either phase."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.support.backends.full_width import SUPER, compile_all, networks
from tests.support.paths import ROOT
from trtnemo.backends.tensorrt.lower.blocks import alone
from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import make_plan
from trtnemo.recipe import load_recipe
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.element import Element
from trtnemo.trt.library import find_library
from trtnemo.trt.writer import NetworkWriter

DEVICES = [pytest.param((12, 0), marks=pytest.mark.slow), (12, 1)]
MEGABYTE = 1_000_000


@pytest.mark.parametrize("device", DEVICES)
def test_a_latent_moe_takes_less_than_a_megabyte_per_decoded_token(device: Any) -> None:
    settings, _ = networks()
    found = [record for record in compile_all(device, {"moe"}) if record.phase == "decode"]
    assert {path.partition(".")[0] for record in found for path in record.paths} == {"backbone", "mtp"}
    for record in found:
        assert record.experts == 512
        assert record.activation_bytes < MEGABYTE * settings.slots * 8, record


@pytest.mark.parametrize("device", DEVICES)
def test_a_prefill_of_512_tokens_takes_less_than_150_megabytes_of_a_latent_moe(device: Any) -> None:
    settings, _ = networks()
    assert settings.prefill_rows == 512
    found = compile_all(device, {"router", "route", "experts", "experts-out"})
    assert sum(len(record.paths) for record in found if record.kind == "experts") == 40
    for record in found:
        assert record.activation_bytes < 150 * MEGABYTE, record


@pytest.mark.parametrize("device", DEVICES)
def test_no_linear_of_a_decode_step_writes_its_weight_out(device: Any) -> None:
    # a BF16 copy of q_proj or o_proj alone is 33.6 MB, one of in_proj 152 MB
    kinds = {"qkv", "mtp-qkv", "attention", "logits", "cache", "norm", "embedding"}
    found = compile_all(device, kinds)
    assert {record.kind for record in found if record.phase == "decode"} == kinds
    for record in found:
        if record.phase == "decode":
            assert record.activation_bytes < 30 * MEGABYTE, record


@pytest.mark.parametrize("device", DEVICES)
def test_attention_over_131072_keys_is_fused(device: Any) -> None:
    settings, _ = networks()
    scores = 4 * settings.capacity * 32  # one row of float32 scores of all heads
    found = compile_all(device, {"attention"})
    assert {record.phase for record in found} == {"decode", "prefill"}
    for record in found:
        rows = settings.slots * 8 if record.phase == "decode" else settings.prefill_rows
        assert record.activation_bytes < rows * scores / 10, record


@pytest.mark.parametrize("device", DEVICES)
def test_mamba_keeps_its_scratch_to_a_few_states(device: Any) -> None:
    settings, _ = networks()
    state = settings.slots * 128 * 64 * 128 * 4
    found = compile_all(device, {"mamba", "advance"})
    assert {(record.kind, record.phase) for record in found} == {
        ("mamba", "decode"), ("mamba", "prefill"), ("advance", "decode"),
    }  # fmt: skip
    for record in found:
        assert record.activation_bytes < (5 * state if record.phase == "decode" else 200 * MEGABYTE), record


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_routed_experts_alone_take_less_than_a_megabyte_a_token_with_few_slots_too(device: Any, slots: int) -> None:
    settings, specs = networks()
    settings = settings.model_copy(update={"slots": slots})
    spec = next(spec for spec in specs.values() if spec.kind == "moe")
    node = next(node for node in spec.block.nodes if node.op.kind == "latent_moe")
    builder = PlanBuilder(find_library(), device)
    spec = replace(spec, block=alone(spec.block, node))
    net, record = emit(spec, settings, builder)
    assert record.experts == 512
    builder.build(net.network, spec.profile(net, settings))
    assert 0 < builder.activation_bytes < MEGABYTE * 8 * slots


def test_a_query_computed_in_the_plan_of_its_attention_would_show() -> None:
    settings, _ = networks()
    builder = PlanBuilder(find_library(), (12, 0))
    network = builder.create_network()
    net = NetworkWriter(builder.library, network)
    x = net.input("x", Element.BFLOAT16, ("B", 32, "R", 128), "value")
    keys, values = (net.input(name, settings.cache, ("B", 2, settings.capacity, 128), "state") for name in "kv")
    lengths = net.input("lengths", Element.INT32, ("B",), "step")
    query = net.cast(net.multiply(net.cast(x, Element.FLOAT32), net.constant([[[[0.1]]]])), Element.BFLOAT16)
    net.output("y", net.attention(query, keys, values, lengths), ("B", 32, "R", 128))
    sizes = settings.sizes("decode")
    least, best, most = ({name: size[place] for name, size in sizes.items()} for place in range(3))
    specs = net.inputs.values()
    profile = {spec.name: (spec.shape(least), spec.shape(best), spec.shape(most)) for spec in specs}
    builder.build(network, profile)
    assert builder.activation_bytes > 1000 * MEGABYTE


def test_a_bank_that_is_expanded_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    # the same layer with a matrix product in place of multiply and sum, which the builder cannot fuse
    from trtnemo.plugins.latent_moe import tensorrt as layers
    from trtnemo.trt.weight import dequantize

    def with_matmul(net: Any, x: Any, bank: Any, picked_TK: Any) -> Any:
        weights_TKoi = net.gather(dequantize(net, bank, layers._FLOAT), picked_TK, 0)
        product = net.matmul(x, weights_TKoi, transpose_right=True)
        return net.reduce("SUM", product, 2)

    monkeypatch.setattr(layers, "_pick_and_project", with_matmul)
    settings, specs = networks()
    spec = next(spec for spec in specs.values() if spec.kind == "moe")
    builder = PlanBuilder(find_library(), (12, 0))
    net, _ = emit(spec, settings, builder)
    builder.build(net.network, spec.profile(net, settings))
    assert builder.activation_bytes > 100 * MEGABYTE


def test_decode_plans_read_what_the_roofline_says() -> None:
    recipe = load_recipe("rtx-pro-6000", ["speculation.draft_tokens=0"])
    network = find_network(SUPER)
    plan = make_plan(network, to_deployment(recipe, network), find_device("rtx-pro-6000"))
    bound = next(speed for speed in plan.decode if speed.batch == 1)
    settings, specs = networks()
    builder = PlanBuilder(find_library(), (12, 0))
    read = 0
    for spec in specs.values():
        if spec.phase == "decode" and spec.kind != "advance":
            layers = [path for path in spec.paths if not path.startswith("mtp")]
            read += emit(spec, settings, builder)[1].bytes_read(1) * len(layers)
    assert read == pytest.approx(bound.weight_bytes, rel=2e-3)


def test_all_of_super_compiles_in_bounded_host_memory() -> None:
    # in a process of its own, whose peak the kernel counts from its start on
    program = (
        "import pathlib; from tests.support.backends.full_width import compile_all, networks;"
        "found = compile_all((12, 1), {spec.kind for spec in networks()[1].values()});"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines();"
        "print(len(found), next(line.split()[1] for line in lines if line.startswith('VmHWM')))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    plans, peak = map(int, result.stdout.split())
    assert plans == len(networks()[1])
    assert peak < 1 << 20  # KiB

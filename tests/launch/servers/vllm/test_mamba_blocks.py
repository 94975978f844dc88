"""vLLM's Mamba blocks: the published refusal, the formula by hand, and what is not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.plan.deploy import GIB, MIB, deployment, small_network, super_network
from trtnemo.launch.plan_input import to_deployment
from trtnemo.launch.servers.vllm.memory import check_blocks, count_blocks
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import Plan, make_plan
from trtnemo.plan.server_memory import Start
from trtnemo.plan.state import state_bytes
from trtnemo.recipe import load_recipe

# as retail-shopping-assistant PR 95 publishes it, without a share: vLLM's own is then 0.92
REPORTED = 524
RECIPE = """
runtime: vllm
checkpoint: nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8
hardware: {name: h100, count: 2}
parallel: {tensor: 2}
limits: {max_seq_len: 32768}
kv_cache: {dtype: fp8}
vllm: {version: 0.20.0, args: {trust-remote-code: true}}
"""


def plan_of(folder: Path, *settings: str) -> Plan:
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "recipe.yaml"), settings)
    network = find_network(recipe.checkpoint)
    return make_plan(network, to_deployment(recipe, network), find_device(recipe.hardware.name))


def start(pool: int = 10 * GIB, network: Any = None, stage: int = 0, page_tokens: int = 8320, **fields: Any) -> Start:
    """Return a start on two devices; 8,320 tokens of 256 bytes are the least multiple of 16 tokens over 2,127,872."""
    network = network or super_network("FP8")
    chosen = deployment(**{"server": "vllm", "kv_dtype": "fp8", "tensor": 2, "version": "0.20.0", **fields})
    return Start(
        batch=chosen.batch(chosen.max_batch_size),
        config=network.config,
        state=state_bytes(network.config, chosen, stage),
        memory_bytes=100 * GIB,
        unified=False,
        share=0.9,
        pool=pool,
        page_tokens=page_tokens,
    )


def test_the_published_start_is_refused_with_blocks_near_the_reported_ones(tmp_path: Path) -> None:
    verdict = plan_of(tmp_path).verdict
    assert verdict.kind == "no"
    assert "max_num_seqs 1,024 exceeds the" in verdict.sentence
    number = verdict.sentence.split("exceeds the ")[1].split()[0]
    assert REPORTED * 0.8 < int(number) < REPORTED * 1.4
    assert f"lower limits.max_batch_size (--max-num-seqs) to {number} or fewer" in verdict.sentence


@pytest.mark.parametrize(("size", "kind", "warns"), [(256, "starts", False), (524, "starts", True), (800, "no", False)])
def test_fewer_sequences_start_with_a_warning_where_the_report_is_near(
    tmp_path: Path, size: int, kind: str, warns: bool
) -> None:
    verdict = plan_of(tmp_path, f"limits.max_batch_size={size}").verdict
    assert verdict.kind == kind
    assert ["is close to" in text for text in verdict.warnings] == [True] * warns


def test_blocks_by_hand() -> None:
    # 40 Mamba and 8 attention layers: 6 groups of 8, so 8 tensors, each with a page of 8,320 x 256 bytes a block
    state = 2 * MIB + 10240 * 3 * 2 // 2
    assert 8320 * 256 >= state > 8304 * 256
    assert count_blocks(start()) == 10 * GIB // (8 * 8320 * 256) == 630
    # the draft head's attention layer makes groups of 9
    assert count_blocks(start(draft_tokens=3)) == 10 * GIB // (9 * 8320 * 256)


def test_kinds_of_nearly_as_many_layers_make_groups_of_the_larger() -> None:
    near = small_network(hybrid_override_pattern="M*M*M*M")
    far = small_network(hybrid_override_pattern="MMMMM**")
    counts = [
        count_blocks(start(pool=MIB, network=network, page_tokens=16, tensor=1, kv_dtype="bfloat16"))
        for network in (near, far)
    ]
    page = 16 * state_bytes(near.config, deployment(server="vllm")).kv_per_token // 3
    assert counts == [MIB // (4 * page), MIB // (2 * page)]


def test_stages_share_the_groups_of_the_whole_network() -> None:
    halves = [count_blocks(start(stage=stage, pipeline=2)) for stage in (0, 1)]
    layers = [start(stage=stage, pipeline=2).state for stage in (0, 1)]
    tensors = [max(-(-state.mamba_layers // 5), state.attention_layers) for state in layers]
    assert halves == [10 * GIB // (count * 8320 * 256) for count in tensors]


def test_a_network_of_one_kind_has_no_blocks_to_count() -> None:
    for pattern in ("ME-", "*E-"):
        network = small_network(hybrid_override_pattern=pattern)
        assert check_blocks(start(network=network, tensor=1, max_batch_size=10**6)) is None


@pytest.mark.parametrize(("version", "stops"), [("0.19.0", False), ("0.20.0", True), ("0.33.0", True), (None, True)])
def test_versions_without_the_check_do_not_refuse(version: str | None, stops: bool) -> None:
    assert (check_blocks(start(version=version, max_batch_size=1024)) is not None) == stops


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ("enforce-eager=true", "starts"),
        ("num-gpu-blocks-override=2000", "starts"),
        ("compilation-config={cudagraph_mode: PIECEWISE}", "starts"),
        ("compilation-config={cudagraph_mode: NONE}", "starts"),
        ("compilation-config={cudagraph_mode: FULL_DECODE_ONLY}", "no"),
        ("compilation-config={cudagraph_capture_sizes: [1, 2]}", "no"),
    ],
)
def test_blocks_matter_where_full_graphs_are_captured_over_a_pool_sized_by_the_share(
    tmp_path: Path, args: str, kind: str
) -> None:
    assert plan_of(tmp_path, f"vllm.args.{args}").verdict.kind == kind

"""Bytes of weights against the released headers, and against a splitter that really cuts tensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.compressed import compress_fp8, compress_nvfp4
from tests.support.plan.deploy import by_kind, deployment, small_network, super_network
from tests.support.plan.slicing import Layout, rank_size, read_tensors
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import ModelConfigError
from trtnemo.network import NemotronH
from trtnemo.plan.network import find_network
from trtnemo.plan.weights import replicated_bytes, stage_of, weight_bytes

# the fact sheet (section 1): NVFP4 equals the released headers, the others are computed there from the config
TOTALS = {"NVFP4": 80_297_329_824, "BF16": 247_222_108_160, "FP8": 128_334_890_304}
DRAFT_HEAD = 5_884_651_520
# the fact sheet: parameters of one block with its norm of 4,096
MAMBA, ATTENTION, MOE, HIDDEN = 109_640_064, 35_655_680, 2_873_102_848, 4096
LAYOUTS = [
    Layout(),
    Layout(tensor=2),
    Layout(tensor=2, expert=2),
    Layout(tensor=4),
    Layout(tensor=4, expert=2),
    Layout(tensor=4, expert=4),
    Layout(tensor=4, expert=4, attention_dp=True),
    Layout(tensor=4, attention_dp=True),
]


def plan_of(network: Any, **fields: Any) -> Any:
    chosen = deployment(**fields)
    return chosen, weight_bytes(network.tensors, network.config, chosen)


@pytest.mark.parametrize("precision", TOTALS)
def test_one_device_holds_the_published_bytes(precision: Any) -> None:
    _, weights = plan_of(super_network(precision), draft_tokens=3)
    assert sum(item.whole for item in weights) == TOTALS[precision]
    assert sum(item.by_stage[0] for item in weights) == TOTALS[precision]


@pytest.mark.parametrize("precision", TOTALS)
def test_without_drafts_the_draft_head_is_not_held(precision: Any) -> None:
    _, weights = plan_of(super_network(precision))
    assert sum(item.by_stage[0] for item in weights) == TOTALS[precision] - DRAFT_HEAD


def test_kinds_are_the_blocks_of_the_published_table() -> None:
    found = by_kind(super_network("BF16"), deployment(draft_tokens=1))
    assert found["mamba"] == 40 * (MAMBA - HIDDEN) * 2
    assert found["attention"] == 8 * (ATTENTION - HIDDEN) * 2
    assert found["norms"] == (88 + 1) * HIDDEN * 2
    assert found["routed experts"] == 40 * 512 * 2 * 1024 * 2688 * 2
    assert found["embedding"] == found["lm head"] == 131_072 * HIDDEN * 2
    assert found["draft head"] == DRAFT_HEAD
    # the correction bias of 512 experts is float32, two bytes more
    parts = ("routed experts", "shared experts", "latent projections", "router")
    assert sum(found[kind] for kind in parts) == 40 * ((MOE - HIDDEN) * 2 + 512 * 2)


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_rank_holds_what_a_real_cut_gives_it(make_checkpoint: Any, precision: str, layout: Any) -> None:
    _compare_with_cut(make_checkpoint(precision, "small"), layout)


def _compare_with_cut(directory: Path, layout: Layout) -> None:
    config, tensors = read_tensors(directory)
    network = find_network(str(directory))
    chosen, weights = plan_of(
        network,
        server="trtllm",
        tensor=layout.tensor,
        expert=layout.expert,
        attention_dp=layout.attention_dp,
        draft_tokens=1,
    )
    ranks = [
        sum(rank_size(name, shape, item, config, layout, rank) for name, (shape, item) in tensors.items())
        for rank in range(layout.tensor)
    ]
    assert [sum(item.by_stage[0] for item in weights)] * layout.tensor == ranks
    whole = sum(math.prod(shape) * item for shape, item in tensors.values())
    assert sum(item.whole for item in weights) == whole
    assert replicated_bytes(weights, chosen) == sum(ranks) - whole


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_rank_holds_its_cut_of_compressed_tensors_nvfp4(copy_checkpoint: Any, layout: Any) -> None:
    directory = copy_checkpoint("nvfp4", "small")
    compress_nvfp4(directory)
    _compare_with_cut(directory, layout)


@pytest.mark.parametrize("strategy", ["tensor", "channel"])
@pytest.mark.parametrize("layout", [Layout(), Layout(tensor=2, expert=2)], ids=str)
def test_each_rank_holds_its_cut_of_compressed_tensors_fp8(copy_checkpoint: Any, strategy: str, layout: Any) -> None:
    directory = copy_checkpoint("bf16")
    compress_fp8(directory, strategy)
    _compare_with_cut(directory, layout)


def test_scales_of_blocks_are_counted_as_stored(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    compress_fp8(directory, "block")
    _, tensors = read_tensors(directory)
    _, weights = plan_of(find_network(str(directory)), server="vllm", draft_tokens=1)
    assert sum(item.whole for item in weights) == sum(math.prod(shape) * item for shape, item in tensors.values())


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("drafts", [0, 2])
def test_pipeline_stages_hold_runs_of_layers_and_the_ends(make_checkpoint: Any, stages: int, drafts: int) -> None:
    directory = make_checkpoint("mixed", "small")
    config, tensors = read_tensors(directory)
    layers = len(config["hybrid_override_pattern"])
    cuts: list[list[int]] = [[], [], [], []]
    runs = [layers // stages + (stage < layers % stages) for stage in range(stages)]
    owner = [stage for stage, run in enumerate(runs) for _ in range(run)]
    for name, (shape, item) in tensors.items():
        size = math.prod(shape) * item
        if name.startswith("backbone.layers."):
            cuts[owner[int(name.split(".")[2])]].append(size)
        elif name.startswith("backbone.embeddings"):
            cuts[0].append(size)
            # the draft head stands with the last stage, and looks its tokens up there
            cuts[stages - 1] += [size] if drafts else []
        elif drafts or not name.startswith("mtp."):
            cuts[stages - 1].append(size)
    _, weights = plan_of(find_network(str(directory)), pipeline=stages, draft_tokens=drafts)
    assert [sum(item.by_stage[stage] for item in weights) for stage in range(stages)] == [
        sum(cut) for cut in cuts[:stages]
    ]


def test_stages_differ_by_one_layer_at_most_and_keep_order() -> None:
    for layers, stages in ((88, 3), (7, 7), (11, 4), (88, 1)):
        owners = [stage_of(layer, layers, stages) for layer in range(layers)]
        counts = [owners.count(stage) for stage in range(stages)]
        assert owners == sorted(owners)
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == layers


def test_vllm_lays_experts_out_over_its_replicas_and_the_others_do_not() -> None:
    whole = by_kind(super_network("BF16"), deployment())["routed experts"]
    for server, expert, parts in (("vllm", 1, 4), ("vllm", 4, 4), ("sglang", 1, 2), ("sglang", 2, 2)):
        chosen = deployment(server=server, tensor=2, data=2, expert=expert)
        assert by_kind(super_network("BF16"), chosen)["routed experts"] == whole // parts, (server, expert)


def test_a_head_tied_to_the_embedding_is_one_matrix_but_two_over_stages() -> None:
    tied, untied = small_network(tie_word_embeddings=True), small_network()
    table = 4096 * 128 * 2
    assert sum(by_kind(untied, deployment()).values()) - sum(by_kind(tied, deployment()).values()) == table
    assert by_kind(tied, deployment(pipeline=2))["embedding"] == 2 * table
    assert by_kind(untied, deployment(pipeline=2))["embedding"] == table


@pytest.mark.parametrize("precision", ["nvfp4", "mixed", "bf16"])
def test_our_own_cpu_runtime_holds_what_its_engine_packs(make_checkpoint: Any, tmp_path: Path, precision: str) -> None:
    """Against the file that packing writes, but for what fills its pieces up to 64 bytes."""
    checkpoint = Checkpoint.open(make_checkpoint(precision))
    model = NemotronH.from_checkpoint(checkpoint)
    index = pack_weights(checkpoint, [model.record_target(), model.record_mtp()], tmp_path, lambda *_: None)
    network = find_network(str(checkpoint.directory))
    weights = weight_bytes(network.tensors, network.config, deployment(server="cpu", draft_tokens=1))
    found = sum(item.by_stage[0] for item in weights)
    pieces = sum(len(tensor.scales) for tensor in index.tensors.values())
    assert found <= index.size <= found + 64 * pieces


def test_our_own_torch_lowering_holds_float32(make_checkpoint: Any) -> None:
    directory = make_checkpoint("nvfp4")
    _, tensors = read_tensors(directory)
    codes = {name for name in tensors if f"{name}_scale" in tensors and tensors[name][1] == 1}
    elements = sum(
        math.prod(shape) * (2 if name in codes else 1)
        for name, (shape, _) in tensors.items()
        if not name.endswith(("_scale", "_scale_2"))
    )
    weights = weight_bytes(
        find_network(str(directory)).tensors,
        find_network(str(directory)).config,
        deployment(server="cpu", draft_tokens=1, packs=False),
    )
    assert sum(item.by_stage[0] for item in weights) == elements * 4


def test_more_experts_than_anyone_has_are_refused_before_they_are_counted() -> None:
    with pytest.raises(ModelConfigError, match="are more than 131072 experts"):
        _ = small_network(n_routed_experts=1 << 31).tensors

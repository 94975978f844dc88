"""A whole plan: which stage speaks, what is refused, networks that nobody released, the picture."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.plan.deploy import deployment, fit_of, small_network, super_network
from trtnemo.errors import CheckpointError, MachineError, RecipeError, UsageError
from trtnemo.plan.as_json import plan_json
from trtnemo.plan.fit import LONGEST
from trtnemo.plan.hardware import Device, find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import make_plan
from trtnemo.plan.plot import plot_frontier


def plan_of(network: Any, device: Any = "b200", **fields: Any) -> Any:
    found = find_device(device) if isinstance(device, str) else device
    return make_plan(network, deployment(**fields), found)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tensor": 3}, "128 Mamba heads cannot be split over 3"),
        ({"tensor": 16}, "8 Mamba groups cannot be split over 16"),
        ({"tensor": 2, "devices": 1}, "ask for 2 devices, hardware.count is 1"),
        ({"tensor": 2, "pipeline": 2, "data": 2, "devices": 4}, "ask for 8 devices"),
        ({"expert": 2}, "512 experts cannot be laid out over expert parallel 2 of 1"),
        ({"tensor": 8, "expert": 3}, "expert parallel 3"),
        ({"pipeline": 89}, "88 layers cannot be cut into 89"),
        ({"server": "sglang", "tensor": 2, "data": 2, "expert": 4}, "expert parallel 4 of 2"),
    ],
)
def test_what_the_network_cannot_be_split_into_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        plan_of(super_network(), **fields)


def test_tensorrt_llm_splits_this_family_over_powers_of_two_unless_attention_is_not_split() -> None:
    network = small_network(
        mamba_num_heads=48, n_groups=48, num_attention_heads=48, num_key_value_heads=3, n_routed_experts=48
    )
    with pytest.raises(RecipeError, match="takes 1, 2, 4 or 8"):
        plan_of(network, server="trtllm", tensor=3)
    assert plan_of(network, server="trtllm", tensor=3, attention_dp=True).verdict.kind == "fits"
    with pytest.raises(RecipeError, match="3 KV heads cannot be split over 4"):
        plan_of(network, server="trtllm", tensor=4)


def test_the_stage_that_holds_the_fewest_sequences_speaks_for_all() -> None:
    # Attention first, experts last: at full length the first stage is the shorter of memory, but the second cannot
    # even hold its own weights, so nothing starts.
    network = small_network(
        hybrid_override_pattern="****EEEE", n_routed_experts=512, moe_latent_size=1024, moe_intermediate_size=2048
    )
    chosen = {"pipeline": 2, "max_batch_size": 512, "max_seq_len": 1 << 24}
    device = Device(name="d", title="D", memory_mib=12 << 10, bandwidth_gbs=100, bf16=10, source="a test")
    first, second = (fit_of(network, deployment(**chosen), device, stage) for stage in (0, 1))
    assert first.need(512, 1 << 24).spare < second.need(512, 1 << 24).spare < 0
    assert first.resident(512, 1 << 24) > second.resident(512, 1 << 24) == -1
    plan = plan_of(network, device, **chosen)
    assert (plan.stage, plan.verdict.kind, plan.frontier) == (1, "no", [])


def test_the_frontier_holds_in_every_stage() -> None:
    # the first stage runs out of states at large batches, the second of KV at long contexts, where the deployment lies
    network = small_network(hybrid_override_pattern="MMMM****", ssm_state_size=1024)
    chosen = deployment(server="trtllm", pipeline=2, max_num_tokens=64, max_seq_len=1 << 24)
    device = Device(name="d", title="D", memory_mib=6 << 10, bandwidth_gbs=100, bf16=10, source="a test")
    fits = [fit_of(network, chosen, device, stage) for stage in (0, 1)]
    plan = make_plan(network, chosen, device)
    assert plan.stage == 1
    assert fits[1].largest_context(4096) > 0 == fits[0].largest_context(4096)
    assert 4096 not in dict(plan.frontier)
    assert dict(plan.frontier)[1] == fits[1].largest_context(1)
    for batch, context in plan.frontier:
        assert all(fit.fits(batch, context) for fit in fits)
        assert not all(fit.fits(batch, context + 1) for fit in fits)


def test_numbers_of_a_plan_are_of_one_stage_and_add_up() -> None:
    plan = plan_of(super_network(), pipeline=4, draft_tokens=3, server="trtllm", kv_dtype="fp8")
    need = plan.need
    assert need.weights == sum(item.by_stage[plan.stage] for item in plan.weights)
    assert need.workspace == plan.workspace.fixed + plan.workspace.activations + plan.workspace.logits
    assert need.states == plan.reservation.slots * plan.state.per_slot
    assert need.kv_cache == 8 * 32768 * plan.state.kv_per_token


@pytest.mark.parametrize("server", ["cpu", "tensorrt", "trtllm", "vllm", "sglang"])
@pytest.mark.parametrize(
    "changes",
    [
        {"hybrid_override_pattern": "ME-"},
        {"hybrid_override_pattern": "*E-"},
        {"hybrid_override_pattern": "-"},
        {"hybrid_override_pattern": "M"},
        {"tie_word_embeddings": True},
        {"hidden_size": 1 << 32, "vocab_size": 1 << 32},
        {"num_nextn_predict_layers": 1},
        {"num_nextn_predict_layers": 1, "mtp_hybrid_override_pattern": "*"},
        {"moe_latent_size": None, "moe_shared_expert_intermediate_size": 0},
    ],
    ids=str,
)
def test_networks_that_nobody_released_have_plans_too(server: str, changes: Any) -> None:
    network = small_network(**changes)
    for pipeline in {1, min(2, len(network.config.layer_kinds))}:
        drafts = 2 if network.config.has_mtp else 0
        plan = plan_of(network, server=server, pipeline=pipeline, draft_tokens=drafts, memory_fraction=0.8)
        json.dumps(plan_json(plan), allow_nan=False)
        assert plan.verdict.kind == ("no" if "hidden_size" in changes else "fits")
        assert all(context <= LONGEST for _, context in plan.frontier)


def test_a_batch_beyond_all_reason_is_a_plan() -> None:
    plan = plan_of(super_network(), server="trtllm", max_batch_size=1 << 30, max_seq_len=1 << 30)
    assert plan.verdict.kind == "no"
    assert (
        plan.advice == []
    )  # eight devices, a batch of one, a short context: none of the changes that are tried is enough


def test_a_network_is_found_by_name_or_directory_and_nothing_else(tmp_path: Path) -> None:
    assert find_network("tiny").config.layer_kinds
    assert find_network("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8").inferred
    assert not super_network().inferred
    for name in ("", " ", "~nobody-of-this-name/x", "a" * 5000, "a\0b", str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(CheckpointError):
            find_network(name)


def test_0_experts_are_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "n_routed_experts": 0}))
    with pytest.raises(CheckpointError, match="n_routed_experts"):
        find_network(str(directory))


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_frontier_is_drawn(tmp_path: Path, suffix: str, start: Any) -> None:
    file = tmp_path / f"frontier{suffix}"
    plot_frontier(plan_of(super_network()), file)
    assert file.read_bytes().startswith(start)


def test_an_empty_frontier_is_drawn_too(tmp_path: Path) -> None:
    plan = plan_of(super_network("BF16"), "rtx-5090")
    assert plan.frontier == []
    plot_frontier(dataclasses.replace(plan, frontier=[]), tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 0


def test_a_picture_needs_a_known_suffix_and_a_folder(tmp_path: Path) -> None:
    plan = plan_of(small_network())
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        plot_frontier(plan, tmp_path / "x.txt")
    with pytest.raises(UsageError, match="cannot be written"):
        plot_frontier(plan, tmp_path / "none" / "x.png")


def test_a_picture_without_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MachineError, match=r"trtnemo\[plot\]"):
        plot_frontier(plan_of(small_network()), tmp_path / "x.png")

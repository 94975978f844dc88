"""From a recipe to a deployment: what each server is told, its own defaults, and values that it would not take."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.errors import RecipeError
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.network import find_network
from trtnemo.recipe import load_recipe


def deployed(name: Any, *changes: Any) -> Any:
    recipe = load_recipe(name, changes)
    return to_deployment(recipe, find_network(recipe.checkpoint))


def fields(found: Any, *names: Any) -> Any:
    return tuple(getattr(found, name) for name in names)


def test_the_cards_tensorrt_llm_recipe_is_read_whole() -> None:
    found = deployed("b200")
    assert fields(found, "server", "version", "device", "devices") == ("trtllm", "1.3.0rc12", "b200", 1)
    assert fields(found, "max_batch_size", "max_num_tokens", "max_seq_len") == (8, 8192, 1_048_576)
    assert fields(found, "kv_dtype", "ssm_dtype", "draft_tokens") == ("fp8", "float16", 3)
    assert fields(found, "memory_fraction", "block_reuse", "graph_padding") == (0.9, False, True)


def test_the_curated_throughput_recipe_splits_experts_and_not_attention() -> None:
    found = deployed("gb200")
    assert fields(found, "tensor", "expert", "attention_dp", "replicas") == (4, 4, True, 4)
    assert fields(found, "kv_dtype", "ssm_dtype") == ("fp8", "float32")  # the checkpoint's own, by its json files


def test_the_cards_vllm_recipe_takes_vllms_defaults() -> None:
    found = deployed("vllm-b200")
    assert fields(found, "max_batch_size", "max_num_tokens", "memory_fraction") == (1024, 8192, 0.9)
    assert fields(found, "max_seq_len", "kv_dtype", "ssm_dtype") == (262_144, "fp8", "float16")


# vLLM's own test of its defaults (tests/engine/test_arg_utils.py): 70 GiB and more, and no A100
@pytest.mark.parametrize(
    ("device", "sizes"),
    [
        (("name=h100",), (1024, 8192)),
        (("name=dgx-spark",), (1024, 8192)),
        (("name=a100",), (256, 2048)),
        (("name=l40s",), (256, 2048)),
        (("name=my-gpu", "memory_mib=71679"), (256, 2048)),
        (("name=my-gpu", "memory_mib=71680"), (1024, 8192)),
        (("name=my-gpu",), (1024, 8192)),
    ],
)
def test_vllms_defaults_follow_the_device(device: tuple[str, ...], sizes: tuple[int, int]) -> None:
    changes = [f"hardware.{setting}" for setting in device]
    assert fields(deployed("vllm-b200", *changes), "max_batch_size", "max_num_tokens") == sizes
    given = deployed("vllm-b200", *changes, "limits.max_batch_size=7", "limits.max_num_tokens=4096")
    assert fields(given, "max_batch_size", "max_num_tokens") == (7, 4096)


def test_vllms_expert_parallelism_is_as_wide_as_its_devices() -> None:
    found = deployed("vllm-b200", "hardware.count=4", "parallel.tensor=2", "parallel.data=2", "parallel.expert=4")
    assert fields(found, "tensor", "data", "expert", "expert_tensor") == (2, 2, 4, 1)
    found = deployed("vllm-b200", "hardware.count=4", "parallel.tensor=2", "parallel.data=2")
    assert fields(found, "expert", "expert_tensor") == (1, 4)


@pytest.mark.parametrize("drafts", [1, 3])
@pytest.mark.parametrize("name", ["b200x2-latency", "vllm-b200", "sglang-b200"])
def test_drafts_are_as_many_as_the_recipe_says_on_every_server(name: str, drafts: int) -> None:
    changes = [f"speculation.draft_tokens={drafts}"]
    if name == "b200x2-latency":
        changes.append(f"trtllm.llm_args.speculative_config.num_nextn_predict_layers={drafts}")
    assert deployed(name, *changes).draft_tokens == drafts


def test_sglangs_attention_replicas_share_devices_requests_and_chunk() -> None:
    found = deployed(
        "sglang-b200",
        "hardware.count=4",
        "parallel.tensor=4",
        "parallel.data=4",
        "sglang.args.enable-dp-attention=true",
    )
    assert fields(found, "ranks", "replicas", "attention_tensor") == (4, 4, 1)
    assert fields(found, "max_batch_size", "max_num_tokens") == (2, 2048)
    with pytest.raises(RecipeError, match="attention over 2 of 4 devices"):
        deployed("sglang-b200", "parallel.tensor=4", "parallel.data=2", "sglang.args.enable-dp-attention=true")


def test_sglang_without_chunks_takes_a_whole_prompt_at_once() -> None:
    assert deployed("sglang-b200", "sglang.args.chunked-prefill-size=-1").max_num_tokens == 262_144
    assert deployed("sglang-b200").max_num_tokens == 8192


def test_sglangs_stages_are_read_from_its_own_words() -> None:
    assert deployed("sglang-b200", "sglang.args.pipeline-parallel-size=2").pipeline == 2


def test_our_own_recipes_are_read_from_neutral_fields() -> None:
    found = deployed("tiny")
    assert fields(found, "server", "kv_dtype", "ssm_dtype", "memory_fraction") == ("cpu", "float16", "float32", 1.0)
    assert found.packs
    assert fields(deployed("tiny", "cpu.lowering=torch"), "kv_dtype", "packs") == ("float32", False)
    assert deployed("tiny", "cpu.ssm_state=float16").ssm_dtype == "float16"
    found = deployed("rtx-5090")
    assert fields(found, "server", "max_batch_size", "kv_dtype") == ("tensorrt", 4, "bfloat16")
    assert deployed("rtx-5090", "kv_cache.dtype=float16").kv_dtype == "float16"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("b200", "trtllm.llm_args.kv_cache_config.free_gpu_memory_fraction=1.5", "memory_fraction must be less"),
        ("b200", "limits.max_seq_len=99999999999", "max_seq_len must be less"),
        ("b200", "limits.max_batch_size=99999999999", "max_batch_size must be less"),
        ("tiny", "limits.max_num_tokens=99999999999", "max_num_tokens must be less"),
        ("vllm-b200", "vllm.args.max-num-seqs=[1]", "max_batch_size must be a valid integer"),
        ("vllm-b200", "vllm.args.gpu-memory-utilization=much", "memory_fraction must be a valid number"),
        ("vllm-b200", "vllm.args.tensor-parallel-size=x", "--tensor-parallel-size must be a whole number"),
        ("vllm-b200", "vllm.args.tensor-parallel-size=-2", "tensor must be greater"),
        ("sglang-b200", "sglang.args.data-parallel-size=[2]", "--data-parallel-size must be a whole number"),
        ("rtx-5090", "speculation.draft_tokens=3", "has no draft head"),
    ],
)
def test_values_that_no_server_takes_are_refused_in_words(name: str, change: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        deployed(name, change)


def test_sections_of_another_shape_are_read_as_silence() -> None:
    changes = ["speculation.draft_tokens=0", "trtllm.llm_args.speculative_config=none at all"]
    assert deployed("b200", *changes).draft_tokens == 0

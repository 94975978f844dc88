"""config.json in every spelling of the family, and configs that describe nothing we can run."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.support.checkpoints.configs import BASE
from trtnemo.checkpoint import parse_config
from trtnemo.errors import ModelConfigError

KINDS = ("mamba", "moe", "attention", "mlp")


def config(**changes: Any) -> Any:
    return {key: value for key, value in {**BASE, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    "words",
    [["mamba", "moe", "attention", "mlp"], ["linear_attention", "moe", "full_attention", "mlp"]],
)
def test_layers_by_words_equal_layers_by_letters(words: list[Any]) -> None:
    by_words = parse_config(config(hybrid_override_pattern=..., layers_block_type=words))
    assert by_words.layer_kinds == KINDS == parse_config(BASE).layer_kinds


@pytest.mark.parametrize("limit", [[0.0, math.inf], [0.0, 1e308], [0.0, {"__float__": "Infinity"}], ...])
def test_every_spelling_of_no_time_step_limit_is_read(limit: Any) -> None:
    text = json.dumps(config(time_step_limit=limit))
    assert parse_config(json.loads(text)).time_step_limit[1] > 1e300


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"num_nextn_predict_layers": 0}, ()),
        ({"num_nextn_predict_layers": 1}, ("attention", "moe")),
        ({"num_nextn_predict_layers": 1, "mtp_hybrid_override_pattern": "*E"}, ("attention", "moe")),
        ({"num_nextn_predict_layers": 1, "mtp_layers_block_type": ["full_attention", "moe"]}, ("attention", "moe")),
    ],
)
def test_the_mtp_head_is_read_in_every_spelling(changes: dict[str, Any], expected: Any) -> None:
    assert parse_config(config(**changes)).mtp_layer_kinds == expected


@pytest.mark.parametrize("key", ["layer_norm_epsilon", "norm_eps", "rms_norm_eps"])
def test_every_spelling_of_the_epsilon_is_read(key: str) -> None:
    assert parse_config(config(**{key: 3e-6})).norm_eps == 3e-6


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_every_spelling_of_the_dtype_is_read(key: str) -> None:
    assert parse_config(config(**{key: "float32"})).dtype == "float32"


def test_the_older_relatives_head_size_is_read() -> None:
    assert parse_config(config(head_dim=..., attention_head_dim=48)).head_dim == 48
    assert parse_config(config(head_dim=...)).head_dim == 128 // 4


def test_sizes_follow_heads_and_not_expand() -> None:
    parsed = parse_config(config(expand=2))
    assert parsed.mamba_inner_size == 8 * 32
    assert parsed.conv_channels == 8 * 32 + 2 * 2 * 32
    assert parsed.in_proj_size == 8 * 32 + parsed.conv_channels + 8


def test_experts_without_latent_work_in_the_hidden_width() -> None:
    assert parse_config(config(moe_latent_size=None)).expert_size == 128
    assert parse_config(BASE).expert_size == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "not 'nemotron_h'"),
        ({"hybrid_override_pattern": "MX"}, "unknown layer 'X'"),
        ({"hybrid_override_pattern": ..., "layers_block_type": ["mamba", "rwkv"]}, "unknown layer 'rwkv'"),
        ({"hybrid_override_pattern": ..., "layers_block_type": ["mamba", 3]}, "unknown layer 3"),
        ({"hybrid_override_pattern": ...}, "neither"),
        ({"num_hidden_layers": 5}, "pattern has 4"),
        ({"num_experts_per_tok": 9}, r"num_experts_per_tok \(9\) exceeds n_routed_experts \(8\)"),
        ({"n_group": 4, "num_experts_per_tok": 3}, "topk_group groups"),
        ({"n_group": 3}, "multiple of n_group"),
        ({"mamba_num_heads": 7}, "multiple of n_groups"),
        ({"num_key_value_heads": 3}, "multiple of num_key_value_heads"),
        ({"hidden_size": 0}, "'hidden_size' must be greater"),
        ({"hidden_size": "wide"}, "'hidden_size'"),
        ({"hidden_size": ...}, "'hidden_size'"),
        ({"time_step_limit": [0.001, 0.1]}, "clamps dt"),
        ({"time_step_limit": "none"}, "pair of numbers"),
        ({"num_nextn_predict_layers": 3}, "one shared head"),
        ({"use_bias": True}, "cannot run"),
        ({"sliding_window": 512}, "cannot run"),
        ({"mlp_hidden_act": "gelu"}, "not 'relu2'"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        parse_config(config(**changes))

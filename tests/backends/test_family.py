"""The family's other shapes, run and compared with transformers: no latent, dense MLP, grouped routing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support import oracle
from tests.support.backends.executors import make_executor, make_interpreted, make_native
from trtnemo.backends import make_batch
from trtnemo.checkpoint import QuantizationMap, expected_tensors, parse_config
from trtnemo.checkpoint.format.storage import StorageType

CONFIG = {
    "architectures": ["NemotronHForCausalLM"],
    "model_type": "nemotron_h",
    "dtype": "float32",
    "hidden_size": 64,
    "vocab_size": 256,
    "hybrid_override_pattern": "ME*E",
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "n_groups": 2,
    "ssm_state_size": 16,
    "conv_kernel": 4,
    "chunk_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 48,
    "moe_latent_size": 32,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "intermediate_size": 80,
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": False,
    "num_nextn_predict_layers": 0,
}
SHAPES: dict[str, dict[str, Any]] = {
    "latent MoE": {},
    "MoE without latent": {"moe_latent_size": None},
    "dense MLP": {"hybrid_override_pattern": "M-*-M-"},
    "grouped routing": {"n_group": 4, "topk_group": 2},
    "weights not normalized": {"norm_topk_prob": False},
    "one head per group": {"n_groups": 4},
    "no convolution bias": {"use_conv_bias": False},
    "every expert picked": {"num_experts_per_tok": 8},
}
# Sizes that are multiples of nothing that a kernel would like.
ODD_SHAPES = {
    "22 of 512 experts": {"n_routed_experts": 512, "num_experts_per_tok": 22, "moe_intermediate_size": 20},
    "three groups of heads": {"mamba_num_heads": 9, "n_groups": 3, "mamba_head_dim": 20, "ssm_state_size": 21},
    "head_dim 48": {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 48},
    "one KV head of 24": {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 24},
    "widths": {
        "hidden_size": 72,
        "vocab_size": 259,
        "moe_latent_size": 28,
        "moe_intermediate_size": 44,
        "moe_shared_expert_intermediate_size": 52,
    },
    "five taps": {"conv_kernel": 5},
}


def write_random(directory: Any, config: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for item in expected_tensors(parse_config(config), QuantizationMap()):
        assert item.storages[0] is StorageType.F32
        scale = 1.0 if len(item.shape) < 2 else item.shape[-1] ** -0.5
        tensors[item.name] = torch.randn(item.shape, generator=generator) * scale
        if item.name.endswith("norm.weight"):
            tensors[item.name] = 1 + 0.1 * tensors[item.name]
    (directory / "config.json").write_text(json.dumps(config))
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("make", [make_executor, make_native, make_interpreted], ids=["torch", "cpu", "tensorrt"])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_transformers(tmp_path: Path, shape: Any, make: Any) -> None:
    config = {**CONFIG, **SHAPES[shape]}
    write_random(tmp_path, config)
    ids = torch.randint(0, 256, (50,), generator=torch.Generator().manual_seed(1))
    found = make(tmp_path).forward(make_batch([(0, 0, ids.tolist(), False)])).logits
    expected = oracle.logits(oracle.load_model(tmp_path), ids).numpy()
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_odd_shapes_equal_the_torch_lowering(tmp_path: Path, shape: Any) -> None:
    write_random(tmp_path, {**CONFIG, **ODD_SHAPES[shape]})
    ids = torch.randint(0, 256, (70,), generator=torch.Generator().manual_seed(1)).tolist()
    expected, executor = make_executor(tmp_path).forward(make_batch([(0, 0, ids, False)])).logits, make_native(tmp_path)
    parts = [(0, 0, ids[:33], False)], [(0, 33, ids[33:], False)]
    found = np.concatenate([executor.forward(make_batch(part)).logits for part in parts])
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("make", [make_executor, make_native], ids=["torch", "cpu"])
def test_a_tied_head_multiplies_by_the_embedding(tmp_path: Path, make: Any) -> None:
    write_random(tmp_path, {**CONFIG, "tie_word_embeddings": True})
    executor = make(tmp_path)
    result = executor.forward(make_batch([(0, 0, [1, 2, 3], False)], hidden_rows=[0, 1, 2]))
    embedding = oracle.decoded_tensors(tmp_path)["backbone.embeddings.weight"].numpy()
    assert np.abs(result.logits - result.hidden_states @ embedding.T).max() < 1e-4

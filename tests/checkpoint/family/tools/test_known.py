"""Every tool is named, whether it is sized or refused, and none of them passes for BF16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.configs import BASE
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.family.quantization import read_quantization
from trtnemo.errors import CheckpointError
from trtnemo.plan.network import find_network

GROUP = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}}


def compressed(**weights: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


SIZED = [
    ({"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUP}},
     "compressed-tensors NVFP4 (weights alone)"),
    ({"config_groups": {"group_0": GROUP}, "format": "nvfp4-pack-quantized"},
     "compressed-tensors NVFP4 (weights alone)"),
    (compressed(num_bits=8, type="float", strategy="channel"), "compressed-tensors FP8 (a scale for each channel)"),
    ({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "GEMM"}, "AWQ int4 in groups of 64"),
    ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "GPTQ int4, a scale for each channel"),
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8 in blocks of 128x128"),
    ({"quant_method": "fp8", "activation_scheme": "static"}, "FP8 with one scale a layer"),
    ({"group_size": 64, "bits": 4}, "MLX 4 bits in groups of 64"),
]  # fmt: skip
REFUSED = [
    (compressed(num_bits=4, type="int", group_size=128), "compressed-tensors: int4 in groups of 128"),
    ({**compressed(num_bits=8, type="int"), "format": "int-quantized"}, "compressed-tensors: int-quantized, int8"),
    (compressed(num_bits=4, type="float", group_size=32), "compressed-tensors: float4 in groups of 32"),
    ({**compressed(num_bits=8, type="float"), "format": "dense"}, "not compressed yet"),
    ({**compressed(num_bits=8, type="float"), "sparsity_config": {"format": "sparse-24-bitmask"}}, "sparse-24"),
    ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "config_groups": {}}, "config_groups"),
    ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "AWQ packed as 'gemv'"),
    ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "GPTQ packed as 'marlin'"),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "'bitsandbytes' .*nf4"),
    ({"load_in_8bit": True}, "'bitsandbytes'"),
    ({"quant_method": "mxfp4"}, "'mxfp4'"),
    ({"quant_method": "torchao"}, "'torchao'"),
    ({"quant_method": "auto_round"}, "Intel AutoRound"),
    ({"quant_method": "gguf"}, "llama.cpp"),
    ({"quant_method": "newest"}, "'newest', a method not known here"),
    ({"quant_method": ["fp8"]}, "a method not known here"),
    ({"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"}, "scale_fmt 'ue8m0'"),
    ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, "by MLX as 'mxfp4'"),
    ({"w_bits": 3}, "says of no tool"),
]


@pytest.mark.parametrize(("block", "title"), SIZED)
def test_a_tool_that_is_sized_is_named_in_few_words(tmp_path: Path, block: Any, title: str) -> None:
    for key in ("quantization_config", "compression_config"):
        found = read_quantization(tmp_path, {key: block})
        assert found.tool is not None
        assert (found.tool.title, bool(found.tool.readers)) == (title, True)


@pytest.mark.parametrize(("block", "words"), REFUSED)
def test_a_form_that_is_not_sized_is_refused_by_name(tmp_path: Path, block: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as error:
        read_quantization(tmp_path, {"quantization_config": block})
    assert "config.json" in str(error.value)


def test_mlx_says_it_under_its_own_key_too(tmp_path: Path) -> None:
    found = read_quantization(tmp_path, {"quantization": {"group_size": 32, "bits": 8}})
    assert found.tool is not None
    assert (found.tool.title, found.tool.servers) == ("MLX 8 bits in groups of 32", frozenset())


@pytest.mark.parametrize("block", [None, {}, {"quant_method": "modelopt", "quant_algo": None}, {"quant_algo": "FP8"}])
def test_modelopt_and_nothing_are_no_other_tool(tmp_path: Path, block: Any) -> None:
    assert read_quantization(tmp_path, {"quantization_config": block}).tool is None


@pytest.mark.parametrize("name", ["awq", "mlx", "fp8"])
def test_check_says_in_one_line_what_it_does_not_audit(copy_checkpoint: Any, name: str) -> None:
    directory = copy_checkpoint("bf16")
    block = {"awq": SIZED[3][0], "fp8": SIZED[5][0], "mlx": SIZED[7][0]}[name]
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "quantization_config": block}))
    with pytest.raises(CheckpointError, match=r"which `check` does not audit\. .* read"):
        audit(Checkpoint.survey(directory))


def test_a_place_of_gguf_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    for place in (tmp_path, tmp_path / "model-Q4_K_M.gguf"):
        for read in (Checkpoint.survey, find_network):
            with pytest.raises(CheckpointError, match=r"holds GGUF \(model-Q4_K_M.gguf\).*llama.cpp"):
                read(str(place))


def test_gguf_beside_safetensors_is_left_alone(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    (directory / "mmproj.gguf").write_bytes(b"GGUF")
    assert audit(Checkpoint.survey(directory)).findings == []


def test_targets_that_no_layer_has_are_refused_and_not_bf16(tmp_path: Path) -> None:
    group = {**GROUP, "targets": ["re:.*no_such_layer"]}
    block = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    (tmp_path / "config.json").write_text(json.dumps({**BASE, "intermediate_size": 64, "quantization_config": block}))
    with pytest.raises(CheckpointError, match="no layer of this network is meant"):
        _ = find_network(str(tmp_path)).tensors

"""What other tools quantized is sized as it is stored, and nothing of it passes for BF16."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.plan.deploy import GIB, by_kind, deployment
from trtnemo.checkpoint.family.releases import FOLDER
from trtnemo.errors import CheckpointError
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.plan import make_plan

# Nano: 23 Mamba, 6 attention, 23 MoE layers (nano.json); its linear layers, embedding and head aside
HIDDEN, VOCABULARY, EXPERTS, INNER, SHARED = 2688, 131_072, 128, 1856, 3712
MAMBA = (10_304, HIDDEN), (HIDDEN, 4096)
ATTENTION = (4096, HIDDEN), (256, HIDDEN), (256, HIDDEN), (HIDDEN, 4096)
EXPERT = (INNER, HIDDEN), (HIDDEN, INNER)
LINEARS = [*MAMBA * 23, *ATTENTION * 6, *EXPERT * EXPERTS * 23, *((SHARED, HIDDEN), (HIDDEN, SHARED)) * 23]
CASE_10 = {
    "quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "ignore": ["lm_head"],
    "quantization_status": "compressed", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
        "num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "symmetric": True,
        "dynamic": False}}},
}  # fmt: skip


def up(value: int, by: int) -> int:
    return -(-value // by)


def fp8_blocks(rows: int, columns: int) -> int:
    return rows * columns + 4 * up(rows, 128) * up(columns, 128)


def awq(rows: int, columns: int) -> int:
    """AutoAWQ's WQLinear_GEMM: qweight, qzeros, scales."""
    groups = columns // 64
    return 4 * columns * (rows // 8) + 4 * groups * (rows // 8) + 2 * groups * rows


def gptq(rows: int, columns: int) -> int:
    """GPTQModel's TorchQuantLinear with groups of 128: qweight, qzeros, scales, g_idx."""
    groups = math.ceil(columns / 128)
    return 4 * (columns // 32 * 4) * rows + 4 * groups * (rows // 32 * 4) + 2 * groups * rows + 4 * columns


def mlx(rows: int, columns: int) -> int:
    """mx.quantize: codes, scales, biases."""
    return rows * columns // 2 + 2 * 2 * rows * (columns // 64)


def nvfp4(rows: int, columns: int) -> int:
    return rows * columns // 2 + rows * columns // 16 + 4


def nano(place: Path, **keys: Any) -> Network:
    config = json.loads((FOLDER / "nano.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, **keys}))
    return find_network(str(place))


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (CASE_10, nvfp4),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, fp8_blocks),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, awq),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, gptq),
        ({"group_size": 64, "bits": 4, "mode": "affine"}, mlx),
    ],
    ids=["compressed-tensors", "fp8", "awq", "gptq", "mlx"],
)
def test_every_linear_layer_has_the_bytes_of_its_tools_own_form(tmp_path: Path, block: Any, size: Any) -> None:
    quantized = by_kind(nano(tmp_path, quantization_config=block), deployment(server="vllm"))
    plain = by_kind(nano(tmp_path), deployment(server="vllm"))
    linears = sum(size(rows, columns) for rows, columns in LINEARS)
    assert sum(2 * rows * columns for rows, columns in LINEARS) < sum(plain.values())
    rest = sum(plain.values()) - sum(2 * rows * columns for rows, columns in LINEARS)
    if size is mlx:  # embedding and head too
        linears += 2 * mlx(VOCABULARY, HIDDEN)
        rest -= 2 * 2 * VOCABULARY * HIDDEN
    assert sum(quantized.values()) == linears + rest


def test_nano_in_compressed_tensors_nvfp4_fits_a_card_of_32_gb(tmp_path: Path) -> None:
    network = nano(tmp_path, quantization_config=CASE_10)
    chosen = deployment(server="vllm", max_batch_size=4, max_seq_len=32_768, memory_fraction=0.9)
    plan = make_plan(network, chosen, find_device("rtx-5090"))
    assert plan.verdict.kind == "fits"
    assert 17 < sum(item.whole for item in plan.weights) / GIB < 20
    assert "weights: compressed-tensors NVFP4" in network.source
    assert plan.verdict.warnings == ()


def test_a_server_that_nothing_says_reads_it_is_a_warning(tmp_path: Path) -> None:
    network = nano(tmp_path, quantization={"group_size": 64, "bits": 4})
    plan = make_plan(network, deployment(server="vllm"), find_device("b200"))
    assert any("nothing known here says that vllm reads MLX" in warning for warning in plan.verdict.warnings)


@pytest.mark.parametrize("server", ["cpu", "tensorrt"])
def test_our_own_runtimes_are_not_planned_for_it(tmp_path: Path, server: str) -> None:
    network = nano(tmp_path, quantization_config=CASE_10)
    with pytest.raises(CheckpointError, match="which trtnemo's own runtimes do not decode"):
        make_plan(network, deployment(server=server), find_device("b200"))


def test_packed_layers_are_split_over_devices_as_others_are(tmp_path: Path) -> None:
    network = nano(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128})
    whole, half = (by_kind(network, deployment(server="vllm", tensor=size)) for size in (1, 2))
    order = 4 * INNER * EXPERTS * 23 // 2  # g_idx of down_proj is cut, that of up_proj is whole on both
    assert whole["routed experts"] // 2 < half["routed experts"] < whole["routed experts"] // 2 + 4 * order
    assert half["attention"] < whole["attention"]

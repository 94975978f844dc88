"""Products with weights of every format, in sizes that fill no tile: right, and the same bits in every kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.backends.native_op import run_native
from trtnemo import _native
from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.format.codecs import decode_fp8, decode_nvfp4, encode_bfloat16, encode_e4m3, encode_nvfp4
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.graph import DType, ParameterSpec
from trtnemo.graph.ops import Linear
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.reference import latent_moe

KERNELS = _native.kernel_names()
SHAPES = [(1, 16), (17, 48), (40, 80), (33, 336), (5, 1040)]
TOKENS = 21
FORMATS = ["float32", "bfloat16", "fp8", "nvfp4"]


def encode(format: Any, weight: Any, module: Any) -> Any:
    """Return (tensors as a checkpoint holds them, the values that they stand for)."""
    if format == "float32":
        return {f"{module}.weight": RawTensor(StorageType.F32, weight)}, weight
    if format == "bfloat16":
        bits = encode_bfloat16(weight)
        values = (bits.astype(np.uint32) << 16).view(np.float32)
        return {f"{module}.weight": RawTensor(StorageType.BF16, bits)}, values
    if format == "fp8":
        scale = np.float32(np.abs(weight).max() / 448)
        codes = encode_e4m3(weight / scale)
        tensors = {"weight": RawTensor(StorageType.F8_E4M3, codes), "weight_scale": RawTensor(StorageType.F32, scale)}
        return {f"{module}.{name}": value for name, value in tensors.items()}, decode_fp8(codes, scale)
    packed, block_scale, scale = encode_nvfp4(weight)
    tensors = {
        "weight": RawTensor(StorageType.U8, packed),
        "weight_scale": RawTensor(StorageType.F8_E4M3, block_scale),
        "weight_scale_2": RawTensor(StorageType.F32, scale),
    }
    values = decode_nvfp4(packed, block_scale, scale)
    return {f"{module}.{name}": value for name, value in tensors.items()}, values


def spec_of(format: Any, name: Any, shape: Any) -> Any:
    stored = {"fp8": WeightFormat.FP8, "nvfp4": WeightFormat.NVFP4}.get(format, WeightFormat.PLAIN)
    return ParameterSpec(name=name, shape=shape, format=stored)


def closeness(format: Any, activations: Any) -> Any:
    """Return the error that may be, as a part of the largest value: NVFP4 weights meet whole numbers."""
    return 2e-6 if format != "nvfp4" else 2e-4 if activations == "int16" else 2e-2


@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_linear_is_right_and_the_same_in_every_kernel(
    shape: Any, format: Any, activations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(shape[0])
    tensors, values = encode(format, random.standard_normal(shape).astype(np.float32), "op")
    rows = torch.from_numpy(random.standard_normal((TOKENS, shape[1])).astype(np.float32))
    op = Linear(rows=shape[0], columns=shape[1], out_dtype=DType.FLOAT32)
    expected = rows.double().numpy() @ values.astype(np.float64).T
    found = []
    for kernels in KERNELS:
        monkeypatch.setenv("TRTNEMO_CPU", kernels)
        weight = (spec_of(format, "op.weight", shape), tensors)
        for cuts in ((), (1, 2, 4, 7, 11)):  # one to ten rows at once
            found.append(run_native(op, [rows], {"weight": weight}, cuts, activations=activations).numpy())
    assert all(np.array_equal(other, found[0]) for other in found)
    assert np.abs(found[0] - expected).max() < closeness(format, activations) * np.abs(expected).max()


# few experts, whose tiles threads share, and so many that each thread takes whole ones, of more than 64 tokens each
@pytest.mark.parametrize(("experts", "tokens"), [(7, TOKENS), (24, 800)])
@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("format", FORMATS)
def test_experts_are_right_and_the_same_in_every_kernel(
    format: Any, activations: str, experts: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, inner = 48, 80
    op = LatentMoe(
        experts=experts, top_k=3, width=width, inner=inner, groups=1, top_groups=1, normalize=True, scaling_factor=2.5
    )
    random = np.random.default_rng(0)
    banks, values = {}, {}
    for role, shape in (("up", (inner, width)), ("down", (width, inner))):
        members = [random.standard_normal(shape).astype(np.float32) * width**-0.5 for _ in range(experts)]
        found = [encode(format, member, f"{role}.{number}") for number, member in enumerate(members)]
        tensors = {name: value for part, _ in found for name, value in part.items()}
        banks[role] = (
            spec_of(format, role + ".{expert}.weight", shape).model_copy(update={"copies": experts}),
            tensors,
        )
        values[role] = [torch.from_numpy(np.asarray(value, np.float32)) for _, value in found]
    bias = torch.from_numpy(random.standard_normal(experts).astype(np.float32) * 0.3)
    logits, rows = (torch.from_numpy(random.standard_normal((tokens, n)).astype(np.float32)) for n in (experts, width))
    expected = latent_moe(
        op, logits, rows, bias, lambda e, x: x @ values["up"][e].T, lambda e, x: x @ values["down"][e].T
    ).numpy()
    spec = ParameterSpec(name="bias", shape=(experts,))
    outputs = []
    for kernels in KERNELS:
        monkeypatch.setenv("TRTNEMO_CPU", kernels)
        parameters = {"correction_bias": (spec, {"bias": bias}), **banks}
        for cuts in ((), (1, 2, 4, 7, 11)):
            outputs.append(run_native(op, [logits, rows], parameters, cuts, activations=activations).numpy())
    assert all(np.array_equal(other, outputs[0]) for other in outputs)
    assert np.abs(outputs[0] - expected).max() < 2 * closeness(format, activations) * np.abs(expected).max()


@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_with_no_number_gives_none_in_whole_numbers_either(
    value: float, kernels: str, activations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    tensors, _ = encode("nvfp4", random.standard_normal((16, 48)).astype(np.float32), "op")
    rows = torch.from_numpy(random.standard_normal((3, 48)).astype(np.float32))
    op, spec = Linear(rows=16, columns=48, out_dtype=DType.FLOAT32), spec_of("nvfp4", "op.weight", (16, 48))
    monkeypatch.setenv("TRTNEMO_CPU", kernels)
    whole = run_native(op, [rows], {"weight": (spec, tensors)}, (), activations=activations)
    rows[1, 21] = value
    found = run_native(op, [rows], {"weight": (spec, tensors)}, (), activations=activations)
    assert not torch.isfinite(found[1]).any()
    assert torch.equal(found[[0, 2]], whole[[0, 2]])


@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("size", [1e-28, 1e-33, 1e-36, 1e-41])
def test_a_row_of_next_to_nothing_comes_to_next_to_nothing_and_the_same_in_every_kernel(
    size: float, activations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    tensors, _ = encode("nvfp4", random.standard_normal((16, 48)).astype(np.float32), "op")
    rows = torch.from_numpy(random.standard_normal((3, 48)).astype(np.float32)) * size
    op, spec = Linear(rows=16, columns=48, out_dtype=DType.FLOAT32), spec_of("nvfp4", "op.weight", (16, 48))
    found = []
    for kernels in KERNELS:
        monkeypatch.setenv("TRTNEMO_CPU", kernels)
        found.append(run_native(op, [rows], {"weight": (spec, tensors)}, (), activations=activations))
    assert all(torch.equal(other, found[0]) for other in found)
    assert found[0].any() == (size > 1e-30)
    assert found[0].abs().max() < 100 * size

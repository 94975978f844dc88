"""The encoder of weights beside torch and ModelOpt, and native beside numpy, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.checkpoint.format import codecs, encoder
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import MachineError
from trtnemo.native import FORCED, require_native

TYPES = {StorageType.BF16: torch.bfloat16, StorageType.F16: torch.float16, StorageType.F32: torch.float32}


def drawn(storage: StorageType, seed: int, count: int = 64 * 48) -> Any:
    """Return numbers of all sizes, ties between codes and a block of zeros among them."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal(count) * np.exp2(draw.integers(-9, 2, count))
    values[:16] = np.resize([0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -5, 6, -6, -0.0], 16)
    values[16:32] = 0
    return torch.tensor(values, dtype=torch.float32).to(TYPES[storage])


def nvfp4(data: Any, storage: StorageType, scale_2: Any) -> tuple[Any, Any]:
    count = len(data) // storage.itemsize
    packed, scales = np.zeros(count // 2, np.uint8), np.zeros(count // 16, np.uint8)
    encoder.encode_nvfp4(data, storage, scale_2, packed, scales)
    return packed, scales


def fp8(data: Any, storage: StorageType, scale: Any) -> Any:
    codes = np.zeros(len(data) // storage.itemsize, np.uint8)
    encoder.encode_fp8(data, storage, scale, codes)
    return codes


def stored(values: Any) -> Any:
    return values.view(torch.uint8).numpy().copy()


def modelopt(values: Any, scale_2: Any) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

        tensor, scale, _ = NVFP4QTensor.quantize(values.reshape(-1, 16).clone(), 16, weights_scaling_factor_2=scale_2)
    return tensor._quantized_data.numpy().reshape(-1), scale.view(torch.uint8).numpy().reshape(-1)


@pytest.fixture(params=[*require_native().kernel_names(), "numpy"], autouse=True)
def implementation(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setattr(encoder, "find_native", lambda: None)
    else:
        monkeypatch.setenv(FORCED, request.param)


@pytest.mark.parametrize("storage", TYPES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_codes_and_scales_are_modelopts(storage: StorageType, seed: int) -> None:
    values = drawn(storage, seed)
    largest = encoder.largest_magnitude(stored(values), storage)
    assert largest == values.float().abs().max().numpy()
    scale_2 = torch.tensor(largest) / (6.0 * 448.0)
    packed, scales = nvfp4(stored(values), storage, np.float32(largest / np.float32(2688)))
    expected = modelopt(values, scale_2)
    assert np.array_equal(packed, expected[0])
    assert np.array_equal(scales, expected[1])


@pytest.mark.parametrize("storage", [StorageType.BF16, StorageType.F32])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fp8_codes_are_those_of_torchs_division(storage: StorageType, seed: int) -> None:
    values = drawn(storage, seed)
    scale = values.float().abs().max() / 448.0
    expected = (values / scale).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    assert np.array_equal(fp8(stored(values), storage, scale.numpy()[()]), expected)


def left_by(values: Any, code: int, scale_2: float) -> tuple[Any, Any]:
    """Return (codes, sums of squares that they leave) of blocks under one scale, in double precision."""
    scale = float(codecs.e4m3_values()[code] * np.float32(scale_2))
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6]) * scale
    distance = np.abs(np.abs(values)[..., None] - levels)
    return distance.argmin(-1), (distance.min(-1) ** 2).sum(-1)


@pytest.mark.parametrize("storage", TYPES)
@pytest.mark.parametrize("search", ["mse", "four-over-six"])
def test_a_searched_scale_leaves_no_more_than_any_other(storage: StorageType, search: Any, request: Any) -> None:
    if "numpy" in request.node.name:
        pytest.skip("a search needs native code")
    values = drawn(storage, 3, 16 * 300)
    blocks = values.double().numpy().reshape(-1, 16)
    largest = np.abs(blocks).max(1)
    most = 256 if search == "four-over-six" else 448
    scale_2 = np.float32(largest.max() / (6 * most))
    packed, scales = np.zeros(len(values) // 2, np.uint8), np.zeros(len(blocks), np.uint8)
    encoder.encode_nvfp4(stored(values), storage, scale_2, packed, scales, search)
    every = np.stack([left_by(blocks, code, scale_2)[1] for code in range(1, 127)])
    if search == "four-over-six":
        raw = [
            codecs.encode_e4m3(np.float32(np.clip(largest * times / (6 * scale_2), 2**-9, 448))) - 1
            for times in (1, 1.5)
        ]
        every = np.stack([every[codes, np.arange(len(blocks))] for codes in raw])
    mine = np.array(
        [left_by(block[None], int(code), scale_2)[1][0] for block, code in zip(blocks, scales, strict=True)]
    )
    busy = largest > 0
    assert (mine[busy] <= every.min(0)[busy] * (1 + 1e-4) + 1e-12).all()
    decoded = codecs.decode_nvfp4(packed.reshape(-1, 8), scales.reshape(-1, 1), scale_2)
    assert np.allclose(((decoded - blocks) ** 2).sum(1)[busy], mine[busy], rtol=1e-3, atol=1e-12)


def test_a_search_without_native_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trtnemo.native._native", None)
    with pytest.raises(MachineError, match="was not compiled"):
        encoder.encode_nvfp4(np.zeros(32, np.uint8), StorageType.BF16, np.float32(1), np.zeros(8, np.uint8),
                             np.zeros(1, np.uint8), "mse")  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.sampled_from(list(TYPES)))
def test_any_bits_are_encoded_alike_by_both(bits: bytes, storage: StorageType) -> None:
    data = np.frombuffer(bits * storage.itemsize, np.uint8).copy()
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        found = [encoder.largest_magnitude(data, storage)]
        patch.setattr(encoder, "find_native", lambda: None)
        found.append(encoder.largest_magnitude(data, storage))
    assert np.isfinite(found[0]) == np.isfinite(found[1])
    if not np.isfinite(found[0]) or found[0] < 1e-30:
        return
    scales = found[0] / np.float32(2688), found[0] / np.float32(448)
    answers = []
    for native in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not native:
                patch.setattr(encoder, "find_native", lambda: None)
            answers.append((*nvfp4(data, storage, scales[0]), fp8(data, storage, scales[1])))
    for ours, theirs in zip(*answers, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("storage", TYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_seen(storage: StorageType, value: float) -> None:
    values = drawn(storage, 0)
    values[777] = value
    assert not np.isfinite(encoder.largest_magnitude(stored(values), storage))


def test_memory_that_does_not_fit_is_refused() -> None:
    native: Any = require_native()
    data, codes = np.zeros(64, np.uint8), np.zeros(32, np.uint8)
    kernels = native.kernel_names()[0]
    native.encode_fp8(data, "BF16", 1.0, codes, kernels)
    wrongs: list[Callable[[], Any]] = [
        lambda: native.encode_fp8(data, "BF16", 1.0, codes, "neon"),
        lambda: native.encode_fp8(data, "BF16", 1.0, codes[1:], kernels),
        lambda: native.encode_fp8(data, "BF16", 0.0, codes, kernels),
        lambda: native.encode_fp8(data[:-1], "BF16", 1.0, codes, kernels),
        lambda: native.encode_fp8(data[1:-1], "BF16", 1.0, codes[1:], kernels),
        lambda: native.encode_fp8(data, "U8", 1.0, codes, kernels),
        lambda: native.encode_nvfp4(data, "BF16", 1.0, codes[:16], codes[:1], kernels, "max"),
        lambda: native.encode_nvfp4(data, "BF16", 1.0, codes[:16], codes[:2], kernels, "hessian"),
        lambda: native.encode_nvfp4(data[:48], "BF16", 1.0, codes[:12], codes[:1], kernels, "max"),
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"written|above 0|element|aligned|weights are|blocks|no such"):
            wrong()

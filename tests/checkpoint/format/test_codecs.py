"""Codecs against ModelOpt's own classes and torch's own types, bit for bit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import oracle
from trtnemo.checkpoint.format import codecs, decoder
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.errors import CheckpointError
from trtnemo.native import find_native

SHAPES = [(1, 16), (3, 48), (64, 32), (17, 2688)]


def weight(shape: Any, seed: Any = 0) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    # ties between neighbouring magnitudes, zeros and a zero block are the cases that differ between quantizers
    values[0, :16] = np.resize(np.array([0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -5, 6, -6], np.float32), 16)
    if shape[0] > 1:
        values[1, :16] = 0
    return values


def modelopt_quantize(values: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

        tensor, scale, scale_2 = NVFP4QTensor.quantize(torch.from_numpy(values.copy()), 16)
    return tensor._quantized_data.numpy(), scale.view(torch.uint8).numpy(), scale_2.numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_nvfp4_encoder_equals_modelopt(shape: Any) -> None:
    found: tuple[Any, ...] = codecs.encode_nvfp4(weight(shape))
    expected = modelopt_quantize(weight(shape))
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_nvfp4_decoder_equals_modelopt(shape: Any) -> None:
    packed, scale, scale_2 = modelopt_quantize(weight(shape))
    found = codecs.decode_nvfp4(packed, scale, scale_2)
    arguments = torch.from_numpy(packed), torch.from_numpy(scale).view(torch.float8_e4m3fn), torch.from_numpy(scale_2)
    expected = oracle.decode_with_modelopt(*arguments).numpy()
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_native_decoder_equals_numpy(shape: Any) -> None:
    assert find_native() is not None, "these tests run on an install with a compiler"
    random = np.random.default_rng(1)
    packed = random.integers(0, 256, (shape[0], shape[1] // 2), dtype=np.uint8)
    scale = random.standard_normal((shape[0], shape[1] // 16)).astype(np.float32)
    native, plain = decoder.decode(packed, scale), decoder.decode_numpy(packed, scale)
    assert np.array_equal(native.view(np.uint32), plain.view(np.uint32))


def test_native_decoder_refuses_scales_of_another_shape() -> None:
    from trtnemo import _native

    with pytest.raises(ValueError, match="do not belong together"):
        _native.decode_nvfp4(np.zeros((2, 8), np.uint8), np.zeros((2, 2), np.float32))


def test_nvfp4_decoder_refuses_scales_of_another_shape() -> None:
    with pytest.raises(CheckpointError, match="do not go with"):
        codecs.decode_nvfp4(np.zeros((2, 8), np.uint8), np.zeros((2, 2), np.uint8), np.float32(1))


def test_e4m3_values_equal_torch() -> None:
    expected = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    assert np.array_equal(codecs.e4m3_values(), expected, equal_nan=True)


@settings(max_examples=200)
@given(st.lists(st.floats(-448, 448, width=32), min_size=1, max_size=20))
def test_e4m3_encoder_equals_torch(values: Any) -> None:
    array = np.array(values, np.float32)
    expected = torch.from_numpy(array.copy()).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    assert np.array_equal(codecs.encode_e4m3(array), expected)


def test_e4m3_encoder_rounds_every_tie_to_even() -> None:
    positive = codecs.e4m3_values()[:127]
    ties: Any = (positive[1:] + positive[:-1]) / 2
    expected = torch.from_numpy(ties.copy()).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    assert np.array_equal(codecs.encode_e4m3(ties), expected)


def test_fp8_decoder_equals_torch() -> None:
    codes = np.arange(127, dtype=np.uint8).reshape(1, -1)
    expected = torch.from_numpy(codes.copy()).view(torch.float8_e4m3fn).float() * torch.tensor(0.0123)
    assert np.array_equal(codecs.decode_fp8(codes, np.float32(0.0123)), expected.numpy())


@settings(max_examples=200)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_bfloat16_encoder_equals_torch(values: Any) -> None:
    array = np.array(values, np.float32)
    expected = torch.from_numpy(array.copy()).to(torch.bfloat16).view(torch.uint16).numpy()
    assert np.array_equal(codecs.encode_bfloat16(array), expected)


def test_bfloat16_decoder_equals_torch() -> None:
    bits = np.arange(0, 65536, dtype=np.uint32).astype(np.uint16)
    expected = torch.from_numpy(bits.copy()).view(torch.bfloat16).float().numpy()
    found = codecs.decode_plain(RawTensor(StorageType.BF16, bits))
    assert np.array_equal(found, expected, equal_nan=True)


def test_an_integer_tensor_has_no_plain_form() -> None:
    with pytest.raises(CheckpointError, match="I64"):
        codecs.decode_plain(RawTensor(StorageType.I64, np.zeros(2, np.int64)))

"""Stored weights and rounded activations against ModelOpt's classes and our own checkpoint codecs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import oracle
from tests.support.trt.interpreted import Fp4, fp4, fp8, out, run
from tests.support.trt.layer_cases import normal
from trtnemo.checkpoint.format import codecs
from trtnemo.trt.element import Element

FLOAT = Element.FLOAT32


def random_bank(*shape: Any, seed: Any = 0) -> Any:
    """Return packed codes [.., columns / 2] and E4M3 bits [.., columns / 16], every code among them."""
    random = np.random.default_rng(seed)
    packed = random.integers(0, 256, (*shape[:-1], shape[-1] // 2), dtype=np.uint8)
    return packed, random.integers(1, 120, (*shape[:-1], shape[-1] // 16), dtype=np.uint8)


def write_weight(element: Any) -> Any:
    def write(net: Any, codes: Any, scales: Any) -> Any:
        one = net.constant(1.0)
        return net.dequantize(codes, net.dequantize(scales, one, element), element)

    return write


def given(packed: Any, scales: Any) -> Any:
    return {"codes": Fp4(torch.from_numpy(packed)), "scales": fp8(scales)}


def test_fp4_codes_lie_two_to_a_byte_the_low_half_first() -> None:
    codes = torch.arange(16)
    expected = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6]
    one = 0x38
    found = out(write_weight(FLOAT), codes=fp4(codes.repeat(2, 1)), scales=fp8([[one], [one]]))
    assert found.tolist() == [expected, expected]
    assert fp4(codes).packed[0] == 0x10


@pytest.mark.parametrize("shape", [(2, 16), (1, 32), (5, 64), (17, 2688)])
def test_fp4_is_dequantized_as_the_checkpoint_decodes_it(shape: Any) -> None:
    packed, scales = random_bank(*shape)
    found = out(write_weight(FLOAT), **given(packed, scales))
    assert np.array_equal(found, codecs.decode_nvfp4(packed, scales, np.float32(1)))


def test_fp4_codes_times_their_scales_are_exact_in_bfloat16() -> None:
    packed, scales = random_bank(8, 64)
    found = out(write_weight(Element.BFLOAT16), **given(packed, scales))
    assert found.dtype is torch.bfloat16
    assert np.array_equal(found.float(), codecs.decode_nvfp4(packed, scales, np.float32(1)))


def test_a_scale_for_the_whole_tensor_goes_into_the_scale_of_every_block() -> None:
    packed, scales = random_bank(4, 32)

    def write(net: Any, codes: Any, scales: Any) -> Any:
        return net.dequantize(codes, net.dequantize(scales, net.constant(0.37), FLOAT), FLOAT)

    found = out(write, **given(packed, scales))
    assert np.array_equal(found, codecs.decode_nvfp4(packed, scales, np.float32(0.37)))
    assert not np.array_equal(found, codecs.decode_nvfp4(packed, scales, np.float32(1)))


def test_fp8_is_dequantized_as_the_checkpoint_decodes_it() -> None:
    bits = np.array([code for code in range(256) if code & 127 != 127], np.uint8).reshape(2, 127)
    found = out(lambda net, x: net.dequantize(x, net.constant(0.0123), FLOAT), x=fp8(bits))
    assert np.array_equal(found, codecs.decode_fp8(bits, np.float32(0.0123)))


@pytest.mark.parametrize("picks", [[2], [0, 3, 3, 1], [[1, 0], [3, 3]]])
def test_rows_of_a_bank_are_the_same_taken_before_or_after_it_is_dequantized(picks: Any) -> None:
    packed, scales = random_bank(4, 3, 32)
    whole = np.stack([codecs.decode_nvfp4(packed[e], scales[e], np.float32(1)) for e in range(4)])
    picks = np.array(picks, np.int32)

    def write(net: Any, codes: Any, scales: Any, picks: Any) -> None:
        net.output("picked", net.gather(write_weight(FLOAT)(net, codes, scales), picks, 0), (*picks.shape, 3, 32))

    assert np.array_equal(out(write, **given(packed, scales), picks=picks), whole[picks])


def test_a_gather_along_another_axis_sees_the_dequantized_numbers() -> None:
    packed, scales = random_bank(3, 32)

    def write(net: Any, codes: Any, scales: Any, places: Any) -> Any:
        return net.gather(write_weight(FLOAT)(net, codes, scales), places, 1)

    places = np.array([31, 0, 16], np.int32)
    found = out(write, **given(packed, scales), places=places)
    assert np.array_equal(found, codecs.decode_nvfp4(packed, scales, np.float32(1))[:, places])


def test_only_the_picked_rows_of_a_bank_are_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from trtnemo.trt.interpreter import values

    decoded = []
    real = values.decode

    def decode(codes: Any) -> Any:
        decoded.append(codes.shape)
        return real(codes)

    monkeypatch.setattr(values, "decode", decode)
    packed, scales = random_bank(64, 2, 16)

    def write(net: Any, codes: Any, scales: Any, picks: Any) -> Any:
        return net.gather(write_weight(FLOAT)(net, codes, scales), picks, 0)

    out(write, **given(packed, scales), picks=np.array([5, 9], np.int32))
    assert decoded
    assert {shape[0] for shape in decoded} == {2}


def test_a_product_with_an_fp4_weight_is_that_with_the_decoded_one() -> None:
    packed, scales = random_bank(6, 32)
    x = normal(3, 32)

    def write(net: Any, x: Any, codes: Any, scales: Any) -> Any:
        return net.matmul(x, write_weight(FLOAT)(net, codes, scales), transpose_right=True)

    expected = x.astype(np.float64) @ codecs.decode_nvfp4(packed, scales, np.float32(1)).T
    torch.testing.assert_close(
        out(write, x=x, **given(packed, scales)).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-3
    )


def test_fp8_rounding_clamps_takes_the_nearest_and_ties_to_even() -> None:
    # between 17 and 19 quarters, and around the largest number and the smallest
    numbers = np.array([[449, 1e30, -465, 4.25, 4.75, 2**-10, 3 * 2**-10, 1.0, 0.9375]], np.float32)

    def write(net: Any, x: Any) -> Any:
        one = net.constant(1.0)
        return net.dequantize(net.quantize(x, one, Element.FP8), one, FLOAT)

    assert out(write, x=numbers).tolist() == [[448, 448, -448, 4, 5, 0, 2**-8, 1.0, 0.9375]]


def test_fp8_rounding_divides_by_its_scale_first() -> None:
    x = normal(4, 32) * 30
    found = out(lambda net, x: net.quantize(x, net.constant(0.21), Element.FP8), x=x)
    assert np.array_equal(found.view(torch.uint8), codecs.encode_e4m3(x / np.float32(0.21)))


def quantize_and_back(global_scale: Any) -> Any:
    def write(net: Any, x: Any) -> None:
        codes, scales = net.dynamic_quantize(x, net.constant(global_scale))
        outer = net.constant(global_scale)
        net.output("numbers", net.dequantize(codes, net.dequantize(scales, outer, FLOAT), FLOAT), x.shape)
        net.output("scales", scales, (*x.shape[:-1], x.shape[-1] // 16))

    return write


def modelopt(x: Any, global_scale: Any) -> Any:
    """Return (numbers, scales) that ModelOpt's own class makes of x [rows, columns]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

        outer = torch.tensor(global_scale)
        tensor, scales, _ = NVFP4QTensor.quantize(torch.from_numpy(x.copy()), 16, weights_scaling_factor_2=outer)
    return oracle.decode_with_modelopt(tensor._quantized_data, scales.view(torch.float8_e4m3fn), outer), scales


@pytest.mark.parametrize("global_scale", [1.0, 0.002, 0.37])
@pytest.mark.parametrize("shape", [(2, 16), (7, 64), (3, 2688)])
def test_dynamic_fp4_rounding_equals_modelopt(shape: Any, global_scale: float) -> None:
    x = normal(*shape) * np.float32(10 * global_scale)
    found = run(quantize_and_back(global_scale), x=x)
    numbers, scales = modelopt(x, global_scale)
    assert torch.equal(found["scales"].float(), scales.view(torch.float8_e4m3fn).float())
    assert torch.equal(found["numbers"], numbers)


def test_dynamic_fp4_rounding_of_three_dimensions_is_that_of_their_rows() -> None:
    x = normal(2, 3, 32)
    found, flat = run(quantize_and_back(0.5), x=x), run(quantize_and_back(0.5), x=x.reshape(6, 32))
    assert torch.equal(found["numbers"].reshape(6, 32), flat["numbers"])
    assert torch.equal(found["scales"].reshape(6, 2), flat["scales"])


def test_dynamic_fp4_rounding_takes_ties_to_the_even_code() -> None:
    # the first number makes the block's scale one
    row = np.array([6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5, -6], np.float32)
    expected = [6, 0, 1, 1, 2, 2, 4, 4, 0, -1, -1, -2, -2, -4, -4, -6]
    x = np.stack([row, row])
    found = run(quantize_and_back(1.0), x=x)
    assert found["numbers"].tolist() == [expected, expected]
    assert found["scales"].float().tolist() == [[1.0], [1.0]]
    assert torch.equal(found["numbers"], modelopt(x, 1.0)[0])


def test_dynamic_fp4_rounding_leaves_a_block_of_zeros_zero_and_its_neighbour_alone() -> None:
    x = np.concatenate([np.zeros((1, 16), np.float32), np.full((1, 16), 3, np.float32)], 1)
    assert run(quantize_and_back(1.0), x=x)["numbers"].tolist() == x.tolist()
    assert run(quantize_and_back(1.0), x=np.zeros_like(x))["numbers"].tolist() == np.zeros_like(x).tolist()


def test_dynamic_fp4_rounding_clamps_what_lies_beyond_the_largest_scale() -> None:
    x = np.full((2, 16), 1e6, np.float32)
    x[0, 1] = -1e6
    found = run(quantize_and_back(1.0), x=x)
    assert found["scales"].float().tolist() == [[448], [448]]
    assert found["numbers"].tolist() == (np.sign(x) * 448 * 6).tolist()
    assert torch.equal(found["numbers"], modelopt(x, 1.0)[0])

"""Weights as inputs of a network, and products with them.

No plan holds a weight: each is bound at run time, so equal layers share one plan, the two forms of a layer share one
weight, and the builder needs no memory for them. The scale of a whole tensor is applied to the product in float32,
so codes times block scales stay exact in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.graph import ParameterSpec
from trtnemo.graph.ops import Compute
from trtnemo.trt.element import Element
from trtnemo.trt.writer import ITensor, NetworkWriter


@dataclass(frozen=True)
class StoredWeight:
    """A weight [rows, columns], or a bank of them [experts, rows, columns], as its network reads it.

    `scale` and `input_scale` are float32, () or [experts]; block_scale is FP8 [.., rows, columns / 16].
    """

    format: WeightFormat
    values: ITensor
    block_scale: ITensor | None = None
    scale: ITensor | None = None
    input_scale: ITensor | None = None


def declare_weight(
    net: NetworkWriter, name: str, spec: ParameterSpec, plain: Element, experts: int | None = None
) -> StoredWeight:
    """Declare the inputs that a parameter is bound to; `plain` is the element type of an unquantized one.

    `experts` is how many of a bank the network sees.
    """
    bank = () if spec.copies is None else (experts or spec.copies,)
    shape = (*bank, *spec.shape)
    if spec.format is WeightFormat.PLAIN:
        return StoredWeight(spec.format, net.input(f"{name}.weight", plain, shape, "weight"))
    element = Element.FP8 if spec.format is WeightFormat.FP8 else Element.FP4
    values = net.input(f"{name}.weight", element, shape, "weight")
    blocks = None
    if spec.format.is_nvfp4:
        blocks = (*shape[:-1], shape[-1] // BLOCK_SIZE)
    return StoredWeight(
        spec.format,
        values,
        None if blocks is None else net.input(f"{name}.block_scale", Element.FP8, blocks, "weight"),
        net.input(f"{name}.scale", Element.FLOAT32, bank, "weight"),
    )


def with_input_scale(net: NetworkWriter, name: str, weight: StoredWeight) -> StoredWeight:
    """Declare the static scale of the weight's input too."""
    if weight.scale is None:
        return weight
    shape = tuple(weight.scale.shape)
    input_scale = net.input(f"{name}.input_scale", Element.FLOAT32, shape, "weight")
    return StoredWeight(weight.format, weight.values, weight.block_scale, weight.scale, input_scale)


def dequantize(net: NetworkWriter, weight: StoredWeight, element: Element) -> ITensor:
    """Return the weight without its outer scale."""
    if weight.format is WeightFormat.PLAIN:
        return net.cast(weight.values, element)
    one = net.constant(1.0)
    if weight.block_scale is None:
        return net.dequantize(weight.values, one, element)
    return net.dequantize(weight.values, net.dequantize(weight.block_scale, one, element), element)


def round_activation(net: NetworkWriter, x: ITensor, format: WeightFormat, element: Element) -> ITensor:
    """Return x, already divided by its input scale, rounded to FP8 or to FP4 with scales per 16.

    The quantizers take constant scales only, so that the static scale is divided out before and multiplied in after.
    """
    one = net.constant(1.0)
    if format is WeightFormat.FP8:
        return net.dequantize(net.quantize(x, one, Element.FP8), one, element)
    codes, scales = net.dynamic_quantize(x, one)
    return net.dequantize(codes, net.dequantize(scales, one, element), element)


def project_few(net: NetworkWriter, x_TK: ITensor, weight: StoredWeight, products: Element, out: Element) -> ITensor:
    """Return x times the transposed weight for a few rows, so that the weight's own bytes are all that is read.

    Multiply and sum fuse with the dequantization; a matrix product would write the weight out in bfloat16 first.
    """
    if weight.format is WeightFormat.PLAIN and net.element(weight.values) is products:
        return net.cast(net.matmul(net.cast(x_TK, products), weight.values, transpose_right=True), out)
    w_1NK = net.unsqueeze(dequantize(net, weight, Element.FLOAT32), 0)
    x_T1K = net.unsqueeze(net.cast(x_TK, Element.FLOAT32), 1)
    sums = net.reduce("SUM", net.multiply(x_T1K, w_1NK), 2)
    return net.cast(scaled(net, sums, weight.scale), out)


def project_many(
    net: NetworkWriter, x_TK: ITensor, weight: StoredWeight, compute: Compute, products: Element, out: Element
) -> ITensor:
    """Return x times the transposed weight for many rows, in the weight's own format where `compute` says so."""
    if compute == "weight_only" or weight.input_scale is None:
        x_TK = net.cast(x_TK, products)
        product = net.matmul(x_TK, dequantize(net, weight, products), transpose_right=True)
        return net.cast(scaled(net, product, weight.scale), out)
    divided = net.divide(net.cast(x_TK, Element.FLOAT32), net.unsqueeze(weight.input_scale, 0, 1))
    # float32 here is the type of the sums: the products are of FP4 or FP8 codes
    rounded = round_activation(net, divided, weight.format, Element.FLOAT32)
    product = net.matmul(rounded, dequantize(net, weight, Element.FLOAT32), transpose_right=True)
    return net.cast(scaled(net, scaled(net, product, weight.scale), weight.input_scale), out)


def scaled(net: NetworkWriter, product: ITensor, scale: ITensor | None) -> ITensor:
    """Return a product in float32 times a scalar scale; as it is when there is none."""
    if scale is None:
        return product
    return net.multiply(net.cast(product, Element.FLOAT32), net.reshape(scale, [1] * len(product.shape)))

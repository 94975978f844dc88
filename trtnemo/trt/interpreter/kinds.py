"""What each kind of layer computes."""

from __future__ import annotations

from trtnemo.trt.interpreter import attention, layers
from trtnemo.trt.interpreter.layers import LayerFunction

KINDS: dict[str, LayerFunction] = {
    "ACTIVATION": layers.activation,
    "ATTENTION_INPUT": attention.attention_input,
    "ATTENTION_OUTPUT": layers.identity,
    "CAST": layers.cast,
    "CONCATENATION": layers.concatenation,
    "CONSTANT": layers.constant,
    "CUMULATIVE": layers.cumulative,
    "DEQUANTIZE": layers.dequantize,
    "DYNAMIC_QUANTIZE": layers.dynamic_quantize,
    "EINSUM": layers.einsum,
    "ELEMENTWISE": layers.elementwise,
    "GATHER": layers.gather,
    "IDENTITY": layers.identity,
    "KV_CACHE_UPDATE": attention.cache_update,
    "MATRIX_MULTIPLY": layers.matrix_multiply,
    "QUANTIZE": layers.quantize,
    "REDUCE": layers.reduce,
    "SELECT": layers.select,
    "SHAPE": layers.shape,
    "SHUFFLE": layers.shuffle,
    "SLICE": layers.slice_,
    "TOPK": layers.top_k,
    "UNARY": layers.unary,
    "UNSQUEEZE": layers.unsqueeze,
}
# Layers at the border of a loop, which the program runs itself
BOUNDARIES = ("TRIP_LIMIT", "RECURRENCE", "ITERATOR", "LOOP_OUTPUT")

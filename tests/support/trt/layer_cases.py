"""One network or more for every kind of layer, with what numpy or torch's own operators make of the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.support.trt.interpreted import Given, Write, fp8
from trtnemo.checkpoint.format import codecs
from trtnemo.trt.element import Element

RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


X, Y = normal(3, 4, 6), normal(3, 4, 6)
ROWS, LENGTHS = np.array([2, 0, 1, 2], np.int32), np.array([7, 2, 4], np.int32)
POSITIONS = np.array([[0, 3, 3], [2, 1, 0], [1, 1, 2]], np.int32)
NUMBERS = np.array([0.3, -449.0, 500.0, 1.0625, 1.1875, 2**-9, 2**-10, 0.0], np.float32)
CACHE, UPDATE, STARTS = normal(3, 2, 8, 4), normal(3, 2, 3, 4), np.array([5, 0, 2], np.int32)
QUERY, KEY, VALUE = normal(3, 4, 2, 8), normal(3, 2, 7, 8), normal(3, 2, 7, 8)


@dataclass(frozen=True)
class Case:
    """A network, its inputs, the output expected or several by name; `close`: equal but for the last digits."""

    name: str
    write: Write
    given: Mapping[str, Given]
    expected: Any
    close: bool = False
    dims: Mapping[str, Sequence[int | str]] = field(default_factory=dict)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def updated(cache: np.ndarray) -> np.ndarray:
    result: np.ndarray = cache.copy()
    for sequence, start in enumerate(STARTS):
        result[sequence, :, start : start + 3] = UPDATE[sequence]
    return result


def attended() -> torch.Tensor:
    """Return each sequence alone under torch's own operator, its keys cut to their length."""
    q, k, v = (torch.from_numpy(x) for x in (QUERY, KEY, VALUE))
    rows = []
    for sequence, length in enumerate(LENGTHS.tolist()):
        mask = torch.ones(2, length, dtype=torch.bool).tril(length - 2)
        keys, values = k[sequence, :, :length], v[sequence, :, :length]
        options: dict[str, Any] = {"attn_mask": mask, "scale": 1.0, "enable_gqa": True}
        rows.append(F.scaled_dot_product_attention(q[sequence][None], keys[None], values[None], **options)[0])
    return torch.stack(rows)


def write_cache(net: Any, cache: Any, update: Any, starts: Any) -> None:
    net.output_in_place("cache.after", net.cache_update(cache, update, starts), tuple(cache.shape))


def write_attention(net: Any, q: Any, k: Any, v: Any, lengths: Any) -> Any:
    return net.attention(q, k, v, lengths)


def write_fp4_codes(net: Any, x: Any) -> Any:
    """Quantize and take the codes as numbers: dequantized under block scales of one."""
    codes, _ = net.dynamic_quantize(x, net.constant(0.5))
    one = net.constant(1.0)
    ones = net.quantize(net.constant(np.ones((2, 2), np.float32)), one, Element.FP8)
    return net.dequantize(codes, net.dequantize(ones, one, Element.FLOAT32), Element.FLOAT32)


# A largest of 6 under the global scale 0.5 gives scale 2, so that the codes are the numbers themselves, rounded
BLOCKS = np.stack([np.resize(np.array([6, -6, 3, 0.3, 5, -2.5], np.float32), 32), np.zeros(32, np.float32)])
ROUNDED = np.stack([np.resize(np.array([6, -6, 3, 0.5, 4, -2], np.float32), 32), np.zeros(32, np.float32)])


def write_running_total(net: Any, x: Any, start: Any) -> None:
    """Write a loop with an iterator, a recurrence and both kinds of output."""
    count = net.reshape(net.cast(net.shape_of([(x, 0)]), Element.INT32), ())
    loop = net.loop(count)
    total = net.name(loop.add_recurrence(start))
    row = net.name(loop.add_iterator(x, 0)).get_output(0)
    after = net.add(net.multiply(total.get_output(0), net.constant([0.5])), row)
    total.set_input(1, after)
    kinds = net.library.module.LoopOutput
    last = net.name(loop.add_loop_output(total.get_output(0), kinds.LAST_VALUE)).get_output(0)
    rows = net.name(loop.add_loop_output(after, kinds.CONCATENATE, 0))
    rows.set_input(1, count)
    net.output("rows", rows.get_output(0), ("T", 4))
    net.output("last", last, (4,))


def running_total(x: np.ndarray, start: np.ndarray) -> dict[str, np.ndarray]:
    rows = []
    for row in x:
        start = start * np.float32(0.5) + row
        rows.append(start)
    return {"rows": np.stack(rows), "last": start}


def activation(kind: str) -> Write:
    return lambda net, x: net.activation(kind, x)


def unary(kind: str) -> Write:
    return lambda net, x: net.unary(kind, x)


def binary(kind: str) -> Write:
    return lambda net, x, y: net.binary(kind, x, y)


def reduction(kind: str, axis: int, keep: bool) -> Write:
    return lambda net, x: net.reduce(kind, x, axis, keep)


def compared(kind: str, function: Callable[..., Any]) -> Case:
    near = np.where(RANDOM.random(X.shape) < 0.3, X, Y).astype(np.float32)
    return Case(kind, binary(kind), {"x": X, "y": near}, function(X, near))


LOOP = Case(
    "running total",
    write_running_total,
    {"x": (steps := normal(5, 4)), "start": (start := normal(4))},
    running_total(steps, start),
    dims={"x": ("T", 4)},
)
BITS = np.arange(127, dtype=np.uint8)  # E4M3 numbers from 0 to the largest
CASES: dict[str, list[Case]] = {
    "ACTIVATION": [
        Case("RELU", activation("RELU"), {"x": X}, np.maximum(X, 0)),
        Case("SIGMOID", activation("SIGMOID"), {"x": X * 9}, sigmoid(X * 9), close=True),
        Case("SOFTPLUS", activation("SOFTPLUS"), {"x": X * 20}, np.logaddexp(0, X.astype(float) * 20), close=True),
    ],
    "ATTENTION_INPUT": [
        Case(
            "three lengths, two rows, two queries to a key",
            write_attention,
            {"q": QUERY, "k": KEY, "v": VALUE, "lengths": LENGTHS},
            attended(),
            close=True,
        )
    ],
    "CAST": [
        Case("to BF16", lambda net, x: net.cast(x, Element.BFLOAT16), {"x": X}, torch.from_numpy(X).bfloat16()),
        Case("to INT32", lambda net, x: net.cast(x, Element.INT32), {"x": X * 9}, (X * 9).astype(np.int32)),
        Case("from INT64", lambda net, x: net.cast(x, Element.FLOAT32), {"x": ROWS.astype(np.int64)}, np.float32(ROWS)),
    ],
    "CONCATENATION": [
        Case("axis 1", lambda net, x, y: net.concat([x, y], 1), {"x": X, "y": Y}, np.concatenate([X, Y], 1)),
        Case("axis 2", lambda net, x, y: net.concat([y, x], 2), {"x": X, "y": Y}, np.concatenate([Y, X], 2)),
    ],
    "CONSTANT": [
        Case("a matrix", lambda net, x: net.add(x, net.constant(Y)), {"x": X}, X + Y),
        Case(
            "INT64",
            lambda net, x: net.add(x, net.constant([2**40], Element.INT64)),
            {"x": np.array([3])},
            np.array([2**40 + 3]),
        ),
    ],
    "CUMULATIVE": [
        Case("axis 1", lambda net, x: net.cumulative_sum(x, 1), {"x": X}, np.cumsum(X, 1), close=True),
        Case("axis 0", lambda net, x: net.cumulative_sum(x, 0), {"x": X}, np.cumsum(X, 0), close=True),
        Case("INT32", lambda net, x: net.cumulative_sum(x, 0), {"x": ROWS}, np.cumsum(ROWS, dtype=np.int32)),
    ],
    "DEQUANTIZE": [
        Case(
            "every E4M3 number",
            lambda net, x: net.dequantize(x, net.constant(0.37), Element.FLOAT32),
            {"x": fp8(BITS)},
            codecs.decode_fp8(BITS, np.float32(0.37)),
        )
    ],
    "DYNAMIC_QUANTIZE": [Case("codes", write_fp4_codes, {"x": BLOCKS}, ROUNDED)],
    "EINSUM": [
        Case(
            "two operands",
            lambda net, x, y: net.einsum("bik,bjk->bji", x, y),
            {"x": X, "y": Y},
            np.einsum("bik,bjk->bji", X, Y),
            close=True,
        )
    ],
    "ELEMENTWISE": [
        Case("SUM spread", binary("SUM"), {"x": X, "y": Y[:1, :, :1].copy()}, X + Y[:1, :, :1]),
        Case("SUB", binary("SUB"), {"x": X, "y": Y}, X - Y),
        Case("PROD", binary("PROD"), {"x": X, "y": Y}, X * Y),
        Case("DIV", binary("DIV"), {"x": X, "y": Y}, X / Y),
        Case("MAX", binary("MAX"), {"x": X, "y": Y}, np.maximum(X, Y)),
        Case("MIN", binary("MIN"), {"x": X, "y": Y}, np.minimum(X, Y)),
        compared("GREATER", np.greater),
        compared("LESS", np.less),
        compared("EQUAL", np.equal),
        Case("AND", binary("AND"), {"x": X > 0, "y": Y > 0}, (X > 0) & (Y > 0)),
        Case("OR", binary("OR"), {"x": X > 0, "y": Y > 0}, (X > 0) | (Y > 0)),
    ],
    "GATHER": [
        Case("rows", lambda net, x, i: net.gather(x, i, 0), {"x": X, "i": ROWS}, X[ROWS]),
        Case("axis 1", lambda net, x, i: net.gather(x, i, 1), {"x": X, "i": POSITIONS}, np.take(X, POSITIONS, 1)),
        Case(
            "each batch its own",
            lambda net, x, i: net.gather(x, i, 1, batched=True),
            {"x": X, "i": POSITIONS},
            np.take_along_axis(X, POSITIONS[..., None], 1),
        ),
    ],
    "IDENTITY": [Case("as it is", lambda net, x: x, {"x": X}, X)],
    "KV_CACHE_UPDATE": [
        Case(
            "three positions",
            write_cache,
            {"cache": CACHE.copy(), "update": UPDATE, "starts": STARTS},
            updated(CACHE),
        )
    ],
    "MATRIX_MULTIPLY": [
        Case(
            "plain",
            lambda net, x, y: net.matmul(x, y),
            {"x": X, "y": Y.reshape(3, 6, 4)},
            X @ Y.reshape(3, 6, 4),
            close=True,
        ),
        Case(
            "transposed",
            lambda net, x, y: net.matmul(x, y, transpose_right=True),
            {"x": X, "y": Y},
            X @ Y.transpose(0, 2, 1),
            close=True,
        ),
    ],
    "QUANTIZE": [
        Case(
            "to FP8",
            lambda net, x: net.quantize(x, net.constant(0.5), Element.FP8),
            {"x": NUMBERS * np.float32(0.5)},
            fp8(codecs.encode_e4m3(NUMBERS)),
        )
    ],
    "REDUCE": [
        Case("SUM", reduction("SUM", 1, False), {"x": X}, X.sum(1), close=True),
        Case("AVG", reduction("AVG", -1, True), {"x": X}, X.mean(-1, keepdims=True), close=True),
        Case("MAX", reduction("MAX", 0, False), {"x": X}, X.max(0)),
        Case("MIN", reduction("MIN", 2, True), {"x": X}, X.min(2, keepdims=True)),
    ],
    "SELECT": [
        Case(
            "spread",
            lambda net, c, x, y: net.select(c, x, y),
            {"c": X[:1] > 0, "x": X, "y": Y},
            np.where(X[:1] > 0, X, Y),
        ),
    ],
    "SHAPE": [
        Case(
            "a length at run time",
            lambda net, x: net.shape_of([9, (x, 0), (x, 1)]),
            {"x": X},
            np.array([9, 3, 4]),
            dims={"x": ("T", 4, 6)},
        )
    ],
    "SHUFFLE": [
        Case("0 and -1", lambda net, x: net.reshape(x, (0, 2, -1)), {"x": X}, X.reshape(3, 2, 12)),
        Case("transpose", lambda net, x: net.transpose(x, (2, 0, 1)), {"x": X}, X.transpose(2, 0, 1)),
    ],
    "SLICE": [Case("axis 2", lambda net, x: net.slice(x, 2, 1, 3), {"x": X}, X[:, :, 1:4])],
    "TOPK": [
        Case("values", lambda net, x: net.top_k(x, 3, 2)[0], {"x": X}, -np.sort(-X, 2)[..., :3]),
        Case("positions", lambda net, x: net.top_k(x, 2, 1)[1], {"x": X}, np.argsort(-X, 1)[:, :2].astype(np.int32)),
    ],
    "UNARY": [
        Case("EXP", unary("EXP"), {"x": X}, np.exp(X), close=True),
        Case("SQRT", unary("SQRT"), {"x": X * X}, np.sqrt(X * X)),
        Case("NEG", unary("NEG"), {"x": X}, -X),
        Case("NOT", unary("NOT"), {"x": X > 0}, X <= 0),
        Case("RECIP", unary("RECIP"), {"x": X}, 1 / X),
        Case("ABS", unary("ABS"), {"x": X}, np.abs(X)),
        Case("LOG", unary("LOG"), {"x": np.abs(X)}, np.log(np.abs(X)), close=True),
    ],
    "UNSQUEEZE": [Case("two places", lambda net, x: net.unsqueeze(x, 0, 3), {"x": X}, X[None, :, :, None])],
    "TRIP_LIMIT": [LOOP],
    "RECURRENCE": [LOOP],
    "ITERATOR": [LOOP],
    "LOOP_OUTPUT": [LOOP],
}
CASES["ATTENTION_OUTPUT"] = CASES["ATTENTION_INPUT"]

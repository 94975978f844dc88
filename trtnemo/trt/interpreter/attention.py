"""KV caches and attention, as their layers are interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trtnemo.errors import EngineError
from trtnemo.trt.interpreter.values import Value, resolve

_QUERY, _KEY, _VALUE, _KEY_LENGTHS = 0, 1, 2, 6  # places among the inputs of an ATTENTION_INPUT layer


def cache_update(layer: Any, inputs: Sequence[Value]) -> list[Value]:
    """Rows written into a cache [b, d, s, h] in place, each sequence's from its own position on."""
    cache, update, positions = (resolve(value) for value in inputs[:3])
    if layer.cache_mode.name != "LINEAR":
        raise EngineError("the interpreter keeps linear caches only", where=layer.name)
    length = update.shape[2]
    for sequence, start in enumerate(positions.tolist()):
        if not 0 <= start <= cache.shape[2] - length:
            raise EngineError(f"{length} rows from {start} do not fit a cache of {cache.shape[2]}", where=layer.name)
        cache[sequence, :, start : start + length] = update[sequence]
    return [cache]


def attention_input(layer: Any, inputs: Sequence[Value | None]) -> list[Value]:
    """Causal attention [b, heads, rows, dim] over each sequence's first keys; its last row sees all of them.

    That LOWER_RIGHT counts from `key_value_lengths`, not from the cache's capacity, is inferred: see docs/gpu.md.
    """
    attention = layer.attention
    inputs = [*inputs, *[None] * (_KEY_LENGTHS + 1 - len(inputs))]  # absent ones at the end are not counted
    query, key, value, lengths = (inputs[place] for place in (_QUERY, _KEY, _VALUE, _KEY_LENGTHS))
    extra = [item for place, item in enumerate(inputs) if place not in (_QUERY, _KEY, _VALUE, _KEY_LENGTHS)]
    if query is None or key is None or value is None or lengths is None or any(item is not None for item in extra):
        raise EngineError("the interpreter wants query, key, value and key lengths, no more", where=layer.name)
    if attention.causal_kind.name != "LOWER_RIGHT" or attention.norm_op.name != "SOFTMAX":
        raise EngineError("the interpreter knows lower-right causal softmax attention only", where=layer.name)
    q_BHRD, k_BHSD, v_BHSD = (resolve(item) for item in (query, key, value))
    rows, repeats = q_BHRD.shape[2], q_BHRD.shape[1] // k_BHSD.shape[1]
    attended = torch.empty_like(q_BHRD)
    for sequence, length in enumerate(resolve(lengths).tolist()):
        if not rows <= length <= k_BHSD.shape[2]:
            raise EngineError(f"{rows} rows cannot attend to {length} of {k_BHSD.shape[2]} keys", where=layer.name)
        k_HSD, v_HSD = (x[sequence, :, :length].float().repeat_interleave(repeats, dim=0) for x in (k_BHSD, v_BHSD))
        scores_HRS = q_BHRD[sequence].float() @ k_HSD.transpose(1, 2)
        future = torch.arange(length)[None, :] > torch.arange(length - rows, length)[:, None]
        attended[sequence] = scores_HRS.masked_fill(future, float("-inf")).softmax(-1) @ v_HSD
    return [attended]

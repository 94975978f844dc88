"""A digest of a network as it was written: every layer, what it reads and gives, and its attributes."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any

import numpy as np

from trtnemo.trt.layer_class import open_layer

# Attributes that say nothing of what a layer computes, or that are distinguished below
_SKIPPED = {"metadata", "name", "num_inputs", "num_outputs", "num_ranks", "loop", "attention", "weights"}


def network_digest(module: Any, network: Any) -> str:
    """Return the SHA-256 of a network: kinds, tensors, attributes and constants of its layers, in order."""
    digest = hashlib.sha256()
    for index in range(network.num_layers):
        kind, layer = open_layer(module, network.get_layer(index))
        tensors = [layer.get_input(place) for place in range(layer.num_inputs)]
        tensors += [layer.get_output(place) for place in range(layer.num_outputs)]
        digest.update(f"{kind} {layer.name} {[_tensor(tensor) for tensor in tensors]}\n".encode())
        digest.update(f" {_attributes(layer)}\n".encode())
        if kind == "CONSTANT":
            digest.update(np.ascontiguousarray(layer.weights).tobytes())
        if kind == "ATTENTION_INPUT":
            digest.update(_attributes(layer.attention).encode())
    return digest.hexdigest()


def _tensor(tensor: Any) -> str:
    return "-" if tensor is None else f"{tensor.name} {tensor.dtype.name} {tuple(tensor.shape)}"


def _attributes(layer: Any) -> str:
    found = []
    for name in sorted(set(dir(type(layer))) - _SKIPPED):
        if not name.startswith("_") and (text := _told(layer, name)) is not None:
            found.append(f"{name}={text}")
    return " ".join(found)


def _told(layer: Any, name: str) -> str | None:
    """Return an attribute as text where it is a plain value; bindings raise on some that do not apply."""
    try:
        value = getattr(layer, name)
    except (RuntimeError, TypeError, ValueError):
        return None
    if value is None or isinstance(value, bool | int | float | str | Enum):
        return str(value)
    kind = getattr(value, "name", None)
    if isinstance(kind, str) and type(value).__module__.startswith("tensorrt"):
        return kind
    try:
        return str(tuple(value))
    except (TypeError, ValueError, RuntimeError):
        return None

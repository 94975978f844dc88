"""The scales that weights do not tell: of inputs, keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.codecs import E2M1_MAX, E4M3_MAX, decode_plain
from trtnemo.checkpoint.rewrite.card import public_name
from trtnemo.errors import CheckpointError, UsageError

_CACHE = (".k_scale", ".v_scale")


@dataclass(frozen=True)
class Scalars:
    """Scales by the name of their tensor; origin: where they are from, for a reader; read: directories of theirs."""

    values: Mapping[str, float]
    origin: str
    read: tuple[Path, ...] = ()


def read_scalars(config: ModelConfig, target: QuantizationMap, other: Checkpoint) -> Scalars:
    """Return the input, key and value scales that a map asks for as another checkpoint of the network has them.

    Raises CheckpointError where that one is of another network, or lacks a scale of an input.
    """
    if not other.config.has_layers_of(config):
        raise CheckpointError("is of another network than the source: its scales do not fit", where=other.place)
    names = [item.name for item in wanted_scalars(config, target)]
    missing = [name for name in names if name not in other.tensors and not name.endswith(_CACHE)]
    if missing:
        raise CheckpointError(
            f"has no {missing[0]}" + (f" (and lacks {len(missing) - 1} more)" if missing[1:] else ""),
            where=other.place,
            remedy="Take a preset whose formats that checkpoint has, or --weight-only",
        )
    found = {name: _positive(other, name) for name in names if name in other.tensors}
    lacking = [name for name in names if name.endswith(_CACHE) and name not in found]
    if lacking and any(name.endswith(_CACHE) for name in found):
        raise CheckpointError(
            f"has no {lacking[0]}, and has others of keys and values",
            where=other.place,
            remedy="`trtnemo check` lists them; --no-fp8-kv-cache takes none",
        )
    return Scalars(found, f"taken from `{public_name(other.directory)}`", (other.directory,))


def scalars_of(
    config: ModelConfig, target: QuantizationMap, inputs: Mapping[str, float], cached: Mapping[str, float], origin: str
) -> Scalars:
    """Return the scales that a map asks for, of the largest magnitudes that layers saw.

    inputs: by module; cached: of keys and values by their projections. As ModelOpt 0.47 exports them, the largest
    becomes the largest number of the format; a layer that saw zeros alone has the scale 1. Raises UsageError for one
    that saw nothing.
    """
    values: dict[str, float] = {}
    for item in wanted_scalars(config, target):
        seen = cached if item.name.endswith(_CACHE) else inputs
        if item.module not in seen:
            raise UsageError("its inputs were not seen", where=item.module)
        largest = np.float32(seen[item.module])
        if not np.isfinite(largest):
            raise CheckpointError("its inputs hold NaN or infinity over these texts", where=item.module,
                                  remedy="`trtnemo check --deep` the source")  # fmt: skip
        is_nvfp4 = item.name.endswith(".input_scale") and target.format_of(item.module).is_nvfp4
        values[item.name] = float(largest / (E2M1_MAX * E4M3_MAX if is_nvfp4 else E4M3_MAX)) or 1.0
    return Scalars(values, origin)


def wanted_scalars(config: ModelConfig, target: QuantizationMap) -> Iterator[ExpectedTensor]:
    """Yield the scales of a map that no weight tells."""
    for item in expected_tensors(config, target):
        if item.is_scale and item.name.endswith((".input_scale", *_CACHE)) and not _is_spared(item):
            yield item


def require_no_scalars(config: ModelConfig, target: QuantizationMap) -> None:
    """Raise UsageError where a map asks for scales of inputs, and nothing was given to take them from."""
    asked = sum(item.name.endswith(".input_scale") for item in wanted_scalars(config, target))
    if asked:
        raise UsageError(
            f"{asked:,} layers quantize their inputs, and weights do not tell the scales of inputs",
            remedy="Give --input-scales-from CHECKPOINT (a quantized one of the same network), --calibrate TEXTS "
            "(slow), --calibration TEXTS (ModelOpt, the model in memory), or --weight-only",
        )


def _is_spared(item: ExpectedTensor) -> bool:
    return item.optional and item.name.endswith(".input_scale")


def _positive(other: Checkpoint, name: str) -> float:
    values = decode_plain(other.read(name)).reshape(-1)
    if len(values) != 1 or not np.isfinite(values[0]) or values[0] <= 0:
        raise CheckpointError("is no positive number", where=f"{other.place}: {name}")
    return float(values[0])

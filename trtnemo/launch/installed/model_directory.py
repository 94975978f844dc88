"""A directory with the config.json of a model, as a server's configuration stage reads it; no weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.releases import release_config, release_named
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.hub.source import EMBEDDED, local_directory
from trtnemo.errors import CheckpointError

# the embedded model's: it has the family's tags, which a server looks up
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_ALGORITHMS = {
    WeightFormat.FP8: "FP8",
    WeightFormat.NVFP4: "NVFP4",
    WeightFormat.NVFP4_WEIGHT_ONLY: "W4A16_NVFP4",
}


@contextmanager
def model_directory(model: str) -> Iterator[str | None]:
    """Yield the directory of a model on this machine, or one made for a release that is known here; None for others.

    A release whose map is not known here is as if nothing of it were quantized.
    """
    try:
        directory = local_directory(model)
    except CheckpointError:
        directory = None
    if directory is not None:
        yield str(Path(directory).resolve())
        return
    config = _released(model)
    if config is None:
        yield None
        return
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        for name in _TOKENIZER:
            shutil.copy(EMBEDDED / name, folder)
        yield folder


def _released(model: str) -> dict[str, Any] | None:
    release, config = release_named(model), release_config(model)
    if config is None:
        return None
    # its Python files are the checkpoint's own: here the server's own classes are asked
    config = {key: value for key, value in config.items() if key != "auto_map"}
    block = None if release is None else _block(release.quantization)
    return config if block is None else {**config, "quantization_config": block}


def _block(quantization: QuantizationMap) -> dict[str, Any] | None:
    """Return a map as ModelOpt writes it into config.json, or None where nothing is quantized."""
    if quantization.uniform is not WeightFormat.PLAIN:
        ignored = [*quantization.excluded, *quantization.excluded_patterns]
        named: dict[str, Any] = {"quant_algo": _ALGORITHMS[quantization.uniform], "ignore": ignored}
    elif quantization.layers:
        layers = {name: {"quant_algo": _ALGORITHMS[kind]} for name, kind in quantization.layers.items()}
        named = {"quant_algo": "MIXED_PRECISION", "ignore": [], "quantized_layers": layers}
    else:
        return None
    if quantization.fp8_kv_cache:
        named["kv_cache_scheme"] = {"dynamic": False, "num_bits": 8, "type": "float"}
    return {"quant_method": "modelopt", **named}

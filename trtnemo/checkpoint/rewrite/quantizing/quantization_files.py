"""Both files that say which module is stored how, written as the tensors are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.files.json_file import write_json

MODELOPT = "0.47.0"  # whose bits and files are written


def write_quantization(
    directory: Path, raw_config: Mapping[str, Any], storages: Mapping[str, StorageType], version: str
) -> None:
    """Write config.json with its quantization block, and hf_quant_config.json; storages: element types by tensor.

    version: ModelOpt's, as the producer that readers look for.
    """
    layers = layer_map(storages)
    kv_algorithm = "FP8" if any(name.endswith(".k_scale") for name in storages) else None
    producer = {"name": "modelopt", "version": version}
    quantization = {"quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": kv_algorithm, "quantized_layers": layers}
    write_json(directory / "hf_quant_config.json", {"producer": producer, "quantization": quantization})
    block: dict[str, Any] = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "ignore": [],
                             "quantized_layers": layers, "producer": producer}  # fmt: skip
    if kv_algorithm:
        block["kv_cache_scheme"] = {"dynamic": False, "num_bits": 8, "type": "float"}
    write_json(directory / "config.json", {**raw_config, "quantization_config": block})


def layer_map(storages: Mapping[str, StorageType]) -> dict[str, dict[str, Any]]:
    """Return the `quantized_layers` map that the tensors themselves show."""
    layers: dict[str, dict[str, Any]] = {}
    for name, storage in sorted(storages.items()):
        module, _, last = name.rpartition(".")
        if last == "weight" and storage is StorageType.U8:
            algorithm = "NVFP4" if f"{module}.input_scale" in storages else "W4A16_NVFP4"
            layers[module] = {"quant_algo": algorithm, "group_size": BLOCK_SIZE}
        elif last == "weight" and storage is StorageType.F8_E4M3:
            layers[module] = {"quant_algo": "FP8"}
    return layers

"""Ways in which the files of a checkpoint are damaged: headers, shards, indexes and maps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from tests.support.checkpoints.damage import (
    FILE,
    KINDS,
    edit_header,
    edit_map,
    kind,
    save,
    shard,
    write_index,
)

__all__ = ["KINDS"]  # every kind: those of damage.py, and those below


@kind("HeaderError")
def file_cut_off(directory: Path) -> None:
    """A download that stopped."""
    os.truncate(directory / FILE, (directory / FILE).stat().st_size - 100)


@kind("HeaderError")
def header_cut_off(directory: Path) -> None:
    """A download that stopped early."""
    os.truncate(directory / FILE, 500)


@kind("bytes-hole")
def bytes_at_the_end(directory: Path) -> None:
    """More data than tensors."""
    edit_header(directory, lambda header: None, b"\0" * 64)


@kind("bytes-hole")
def a_hole_between_tensors(directory: Path) -> None:
    """A tensor taken out of the header and left in the data."""
    edit_header(directory, lambda header: header.pop("backbone.layers.0.norm.weight"))


@kind("bytes-overlap")
def two_tensors_in_one_place(directory: Path) -> None:
    """Two entries point to the same bytes."""

    def change(header: dict[str, Any]) -> None:
        first, second = (header[f"backbone.layers.{layer}.norm.weight"] for layer in (0, 1))
        second["data_offsets"] = first["data_offsets"]

    edit_header(directory, change)


@kind("shard-missing")
def a_shard_is_gone(directory: Path) -> None:
    """One of two files was not downloaded."""
    shard(directory)
    (directory / "model-00002-of-00002.safetensors").unlink()


@kind("header-unreadable")
def a_shard_is_cut_off(directory: Path) -> None:
    """One of two files is half there."""
    shard(directory)
    path = directory / "model-00002-of-00002.safetensors"
    os.truncate(path, path.stat().st_size // 2)


@kind("shard-unlisted")
def a_shard_too_many(directory: Path) -> None:
    """A file of an older download."""
    shard(directory)
    save(directory, {"old": torch.zeros(2)}, "old.safetensors")


@kind("tensor-duplicate")
def a_tensor_twice(directory: Path) -> None:
    """The same tensor in two files."""
    weight_map = shard(directory)
    names = sorted(set(weight_map.values()))
    with safe_open(directory / names[1], framework="pt") as file:
        content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    content["lm_head.weight"] = torch.zeros(1024, 128, dtype=torch.bfloat16)
    content.setdefault("backbone.norm_f.weight", torch.zeros(128, dtype=torch.bfloat16))
    save(directory, content, names[1])


@kind("index-extra")
def index_names_a_ghost(directory: Path) -> None:
    """The index promises a tensor that nobody wrote."""
    weight_map = shard(directory)
    write_index(directory, {**weight_map, "ghost": weight_map["lm_head.weight"]})


@kind("index-wrong-shard")
def index_names_another_shard(directory: Path) -> None:
    """The index sends a loader to the wrong file."""
    weight_map = shard(directory)
    other = {"model-00001-of-00002.safetensors": "model-00002-of-00002.safetensors"}
    place = weight_map["lm_head.weight"]
    wrong = other.get(place, "model-00001-of-00002.safetensors")
    write_index(directory, {**weight_map, "lm_head.weight": wrong})


@kind("index-incomplete")
def index_forgets_a_tensor(directory: Path) -> None:
    """A tensor is stored and not in the index."""
    weight_map = shard(directory)
    weight_map.pop("lm_head.weight")
    write_index(directory, weight_map)


@kind("index-incomplete")
def index_forgets_a_shard(directory: Path) -> None:
    """All of one shard is missing in the index."""
    weight_map = shard(directory)
    write_index(directory, {name: file for name, file in weight_map.items() if "00001-of" in file})


@kind("maps-disagree", "mixed")
def a_pattern_excludes_all_in_one_map(directory: Path) -> None:
    """Both maps name NVFP4; one of them excludes every mixer by a pattern."""
    path = directory / "config.json"
    content = json.loads(path.read_text())
    block = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*mixer*"]}
    path.write_text(json.dumps({**content, "quantization_config": block}))


@kind("map-names-nothing", "mixed")
def a_map_of_another_network(directory: Path) -> None:
    """The map names an expert that is not there."""
    name = "backbone.layers.1.mixer.experts.99.up_proj"
    edit_map(directory, lambda q: q["quantized_layers"].update({name: {"quant_algo": "FP8"}}))


@kind("CheckpointError")
def exclusions_that_are_no_list(directory: Path) -> None:
    """A string where names should be."""
    edit_map(directory, lambda q: q.update(exclude_modules="lm_head"))


@kind("never-written")
def weights_never_written(directory: Path) -> None:
    """A download that set the length of its file and stopped."""
    path = directory / FILE
    data, size = path.read_bytes(), path.stat().st_size
    length = 8 + int.from_bytes(data[:8], "little")
    with path.open("wb") as file:
        file.write(data[:length])
        file.truncate(size)


@kind("index-total-size")
def index_with_another_size(directory: Path) -> None:
    """The sum is wrong."""
    write_index(directory, shard(directory), 12)


@kind("CheckpointError")
def index_outside_the_directory(directory: Path) -> None:
    """The index names a file elsewhere."""
    write_index(directory, {**shard(directory), "lm_head.weight": "../model.safetensors"})


@kind("CheckpointError")
def no_weights(directory: Path) -> None:
    """Only json files."""
    (directory / FILE).unlink()


@kind("CheckpointError")
def a_key_twice(directory: Path) -> None:
    """A config that says two things."""
    path = directory / "config.json"
    path.write_text(path.read_text().replace("{", '{"hidden_size": 64,', 1))


@kind("link-outside")
def a_link_elsewhere(directory: Path) -> None:
    """The weights live somewhere else."""
    target = directory.parent / "elsewhere.safetensors"
    (directory / FILE).rename(target)
    (directory / FILE).symlink_to(target)

"""Opening: single files, shards, directories that hold something else, hub ids offline."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.errors import CheckpointError, HeaderError


def shard(directory: Any, parts: Any = 3) -> Any:
    """Split model.safetensors into shards with an index."""
    path = directory / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path.unlink()
    names, weight_map = sorted(tensors), {}
    for number in range(parts):
        name = f"model-{number + 1:05}-of-{parts:05}.safetensors"
        chosen = names[number::parts]
        save_file({key: tensors[key] for key in chosen}, directory / name)
        weight_map.update(dict.fromkeys(chosen, name))
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map


def test_a_sharded_checkpoint_equals_the_single_file(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    single = Checkpoint.open(make_checkpoint("nvfp4"))
    directory = copy_checkpoint("nvfp4")
    shard(directory)
    sharded = Checkpoint.open(directory)
    assert audit(sharded).findings == []
    assert len(sharded.shards) == 3
    assert sharded.tensors.keys() == single.tensors.keys()
    for name in single.tensors:
        assert np.array_equal(sharded.read(name).data, single.read(name).data)


def test_tensors_are_read_bit_for_bit(make_checkpoint: Any) -> None:
    directory = make_checkpoint("mixed")
    checkpoint = Checkpoint.open(directory)
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            expected = file.get_tensor(name).contiguous().flatten().view(torch.uint8).numpy()
            assert np.array_equal(np.ascontiguousarray(checkpoint.read(name).data).reshape(-1).view(np.uint8), expected)


def test_an_index_that_lies_is_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    weight_map = shard(directory)
    index = directory / "model.safetensors.index.json"
    name = next(iter(weight_map))
    for change, message in [
        ({**weight_map, "ghost": weight_map[name]}, "ghost: is not in"),
        ({**weight_map, name: "model-00002-of-00003.safetensors"}, "is in .*, the index says"),
        ({**weight_map, name: "gone.safetensors"}, "gone.safetensors: is named by the index and not there"),
        ({**weight_map, name: "../x.safetensors"}, "outside the directory"),
        ({}, "no 'weight_map'"),
    ]:
        index.write_text(json.dumps({"weight_map": change}))
        with pytest.raises(CheckpointError, match=message):
            Checkpoint.open(directory)


def test_a_truncated_shard_is_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(HeaderError, match="outside"):
        Checkpoint.open(directory)


def test_a_tensor_in_two_shards_is_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    weight_map = shard(directory, 2)
    first, second = sorted(set(weight_map.values()))
    (directory / second).write_bytes((directory / first).read_bytes())
    with pytest.raises(CheckpointError, match="stands in"):
        Checkpoint.open(directory)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "llama"}', "\x00"])
def test_a_bad_config_is_refused(copy_checkpoint: Any, content: str) -> None:
    directory = copy_checkpoint()
    (directory / "config.json").write_text(content)
    with pytest.raises(CheckpointError):
        Checkpoint.open(directory)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, message in [("file", "is a file"), ("nowhere", "no such directory"), ("empty", "cannot be read")]:
        with pytest.raises(CheckpointError, match=message):
            Checkpoint.open(tmp_path / name)


def test_a_hub_id_offline_says_that_it_is_offline() -> None:
    with pytest.raises(CheckpointError, match=r"not in this machine.s cache, and the hub is offline"):
        Checkpoint.open("nobody/no-such-model")


def test_a_cached_hub_checkpoint_is_found_offline(
    make_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache layout, as huggingface_hub itself lays it: refs, snapshots."""
    from huggingface_hub import constants

    source, commit = make_checkpoint("bf16"), "0" * 40
    repository = tmp_path / "models--someone--micro"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / commit).symlink_to(source)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert audit(Checkpoint.open("someone/micro")).passed


def test_a_header_that_claims_too_much_is_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    path = directory / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + path.read_bytes()[8:])
    with pytest.raises(HeaderError, match="claims a header"):
        Checkpoint.open(directory)

"""A sealed bundle: whole or not at all, true to its checkpoint, comparable with another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.phantom import write_phantom
from tests.support.checkpoints.spoil import edit_tensors
from trtnemo.engine import Engine, verify_files
from trtnemo.engine.difference import differences
from trtnemo.engine.manifest import BundleManifest, read_manifest
from trtnemo.errors import CheckpointError, EngineError
from trtnemo.launch.bundle.bundle import build_bundle
from trtnemo.launch.bundle.sealed import recipe_of
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.recipe import load_recipe


def build(output: Any, name: Any = "b200", *settings: Any, force: Any = False) -> Any:
    return build_bundle(load_recipe(name, settings), name, output, force=force)


def test_a_bundle_of_the_cards_recipe_is_built_without_its_weights(tmp_path: Path) -> None:
    manifest = build(tmp_path / "b200")
    assert sorted(path.name for path in (tmp_path / "b200").iterdir()) == ["engine.json", "extra-llm-api-config.yml"]
    assert read_manifest(tmp_path / "b200") == manifest
    assert not manifest.checkpoint.audited
    assert "is not in this machine's cache" in manifest.checkpoint.reason
    assert manifest.command[:2] == ["trtllm-serve", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"]
    assert manifest.command[-2:] == ["--extra_llm_api_options", "@bundle/extra-llm-api-config.yml"]
    assert manifest.container[-1] == "/workspace/extra-llm-api-config.yml"
    assert "trtllm-13179" in {finding["rule"] for finding in manifest.findings}
    assert recipe_of(manifest) == load_recipe("b200")


def test_a_vllm_bundle_brings_our_reasoning_parser(tmp_path: Path) -> None:
    manifest = build(tmp_path / "b", "vllm-b200")
    # fields that the recipe leaves out stay out when the bundle is read again
    again = read_manifest(tmp_path / "b")
    assert isinstance(again, BundleManifest)
    assert to_invocation(recipe_of(again)) == to_invocation(load_recipe("vllm-b200"))
    assert set(manifest.files) == {"super_v3_reasoning_parser.py"}
    assert verify_files(tmp_path / "b", manifest, thorough=True) == []


def test_a_checkpoint_that_is_here_is_audited(tmp_path: Path, make_checkpoint: Any) -> None:
    manifest = build(tmp_path / "b", "b200", f"checkpoint={make_checkpoint('mixed')}")
    assert manifest.checkpoint.audited
    assert manifest.checkpoint.record is not None
    assert manifest.checkpoint.record.tensors > 100


def test_a_checkpoint_that_is_here_and_broken_is_refused(tmp_path: Path, copy_checkpoint: Any) -> None:
    broken = copy_checkpoint("nvfp4")
    edit_tensors(broken, lambda tensors: tensors.pop(next(name for name in tensors if name.endswith("weight_scale_2"))))
    with pytest.raises(CheckpointError, match="is missing"):
        build(tmp_path / "b", "b200", f"checkpoint={broken}")
    assert not (tmp_path / "b").exists()


def test_a_path_that_is_not_there_is_no_hub_id(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such directory"):
        build(tmp_path / "b", "b200", f"checkpoint={tmp_path}/gone")


def test_a_bundle_is_replaced_only_when_told(tmp_path: Path) -> None:
    build(tmp_path / "b")
    with pytest.raises(EngineError, match="already exists"):
        build(tmp_path / "b")
    build(tmp_path / "b", "vllm-b200", force=True)
    assert read_manifest(tmp_path / "b").runtime == "vllm"


def test_building_twice_gives_the_same_bundle(tmp_path: Path) -> None:
    assert build(tmp_path / "a") == build(tmp_path / "b")


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "b")
    path = tmp_path / "b" / "engine.json"
    data = json.loads(path.read_text())
    data["command"].append("--trust_remote_code")
    path.write_text(json.dumps(data))
    with pytest.raises(EngineError, match="was edited after the build"):
        read_manifest(tmp_path / "b")
    data["layout"] = "hub-v1"
    path.write_text(json.dumps(data))
    with pytest.raises(EngineError, match="layout"):
        read_manifest(tmp_path / "b")


def test_our_own_runtime_opens_no_bundle(tmp_path: Path) -> None:
    build(tmp_path / "b")
    with pytest.raises(EngineError, match="is a bundle for trtllm"):
        Engine.open(tmp_path / "b")


def test_differences_are_told_key_by_key(tmp_path: Path, tiny_engine: Any) -> None:
    one = build(tmp_path / "a")
    other = build(tmp_path / "b", "b200", "limits.max_batch_size=4")
    assert differences(one, one) == []
    found = {item.key: (item.first, item.second) for item in differences(one, other)}
    assert found["recipe.limits.max_batch_size"] == ("8", "4")
    assert set(found) == {"recipe.limits.max_batch_size", "command", "container", "docker"}
    assert isinstance(one, BundleManifest)
    assert "runtime" in {item.key for item in differences(one, read_manifest(tiny_engine))}


def test_the_released_checkpoint_is_audited_by_its_headers_alone(tmp_path: Path) -> None:
    write_phantom(tmp_path / "super")
    manifest = build(tmp_path / "b", "b200", f"checkpoint={tmp_path}/super")
    assert manifest.checkpoint.audited
    assert manifest.checkpoint.record is not None
    assert (manifest.checkpoint.record.tensors, manifest.checkpoint.record.bytes) == (165_860, 80_297_329_824)

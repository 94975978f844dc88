"""What our own runtimes honour of a recipe, how weights lie, and what a manifest and its digest hold."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trtnemo.backends.runtime import find_runtime
from trtnemo.engine import build as build_module
from trtnemo.engine.build import build_engine
from trtnemo.engine.difference import differences
from trtnemo.engine.engine import Engine, verify_files
from trtnemo.engine.manifest import BundleManifest, Manifest, read_manifest
from trtnemo.engine.own import check_own, require_own
from trtnemo.errors import EngineError, MachineError, RecipeError
from trtnemo.recipe import load_recipe

CPU, TENSORRT = "tiny", "rtx-pro-6000"


@pytest.mark.parametrize(
    ("name", "honoured"),
    [(CPU, {"auto", "float16", "float32", "fp8"}), (TENSORRT, {"auto", "bfloat16", "float16", "float32"})],
)
def test_each_runtime_keeps_caches_in_its_types_alone(name: Any, honoured: Any) -> None:
    for dtype in ("auto", "bfloat16", "float16", "float32", "fp8"):
        recipe = load_recipe(name, [f"kv_cache.dtype={dtype}"])
        if dtype in honoured:
            assert require_own(recipe) is recipe
        else:
            with pytest.raises(RecipeError, match=f"'kv_cache.dtype' asks for {dtype}"):
                require_own(recipe)


@pytest.mark.parametrize(
    ("name", "setting"), [(TENSORRT, "hardware.count=2"), (CPU, "cpu.lowering=torch,kv_cache.dtype=float16")]
)
def test_a_build_refuses_what_the_check_refuses(tmp_path: Path, name: str, setting: str) -> None:
    recipe = load_recipe(name, setting.split(","), "tiny")
    with pytest.raises(RecipeError) as checked:
        check_own(recipe)
    with pytest.raises(RecipeError) as built:
        build_engine(recipe, name, tmp_path / "engine")
    assert str(checked.value) == str(built.value)


def test_why_tensorrt_keeps_no_fp8_is_told() -> None:
    with pytest.raises(RecipeError, match="TensorRT updates no FP8 cache in place"):
        require_own(load_recipe(TENSORRT, ["kv_cache.dtype=fp8"]))
    with pytest.raises(RecipeError, match="runtime 'cpu' does not do that yet"):
        require_own(load_recipe(CPU, ["kv_cache.dtype=bfloat16"]))


@pytest.mark.parametrize("size", ["tensor", "expert", "pipeline", "data"])
@pytest.mark.parametrize("name", [CPU, TENSORRT])
def test_no_runtime_of_ours_runs_on_several_devices(name: Any, size: str) -> None:
    require_own(load_recipe(name, [f"parallel.{size}=1"]))
    with pytest.raises(RecipeError, match="'parallel' asks for what runtime"):
        require_own(load_recipe(name, [f"parallel.{size}=2"]))


@pytest.mark.parametrize(
    ("lowering", "is_compiled", "layout"),
    [
        ("auto", True, "cpu-v1"),
        ("native", True, "cpu-v1"),
        ("torch", True, "hub-v1"),
        ("auto", False, "hub-v1"),
        ("torch", False, "hub-v1"),
        ("native", False, None),
    ],
)
def test_weights_are_packed_where_the_native_runtime_reads_them(
    monkeypatch: pytest.MonkeyPatch, lowering: str, is_compiled: bool, layout: str | None
) -> None:
    if not is_compiled:
        for place in ("trtnemo.backends.cpu.runtime.find_native", "trtnemo.native.find_native"):
            monkeypatch.setattr(place, lambda: None)
    recipe = load_recipe(CPU, [f"cpu.lowering={lowering}"])
    if layout is None:
        with pytest.raises(MachineError, match="not compiled"):
            find_runtime(recipe.runtime).layout(recipe)
    else:
        assert find_runtime(recipe.runtime).layout(recipe) == layout
    assert find_runtime("tensorrt").layout(load_recipe(TENSORRT)) == "hub-v1"


@pytest.mark.parametrize(("spare", "fits"), [(64 << 20, True), ((64 << 20) - 1, False)])
def test_a_disk_has_64_mebibytes_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: Any, fits: bool
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000 + spare)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    if fits:
        build_module._check_disk(tmp_path / "not" / "yet" / "there", 1000)
    else:
        with pytest.raises(MachineError, match="the engine needs 1,000 bytes of disk"):
            build_module._check_disk(tmp_path / "not" / "yet" / "there", 1000)


SIDE = ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"]


def test_everything_that_a_tokenizer_needs_goes_with_an_engine(copy_checkpoint: Any, tmp_path: Path) -> None:
    checkpoint = copy_checkpoint("bf16")
    for name in SIDE:
        (checkpoint / name).write_text("{}")
    (checkpoint / "other.json").write_text("{}")
    told = []
    recipe = load_recipe(CPU, [f"checkpoint={checkpoint}", "speculation.draft_tokens=2"])
    manifest = build_engine(recipe, "mine", tmp_path / "engine", progress=lambda *what: told.append(what))
    names = {name for name in manifest.files if name.startswith("tokenizer/")}
    assert names == {f"tokenizer/{name}" for name in ("tokenizer.json", *SIDE)}
    assert (manifest.recipe_name, manifest.runtime, manifest.layout) == ("mine", "cpu", "cpu-v1")
    record = manifest.checkpoint
    assert (record.name, record.revision, record.formats) == (str(checkpoint), None, {"plain": 96})
    assert record.bytes > 0
    assert {"python", "trtnemo", "numpy"} <= manifest.versions.keys()
    whats = {what for what, _, _ in told}
    assert whats == {"packing weights", "writing the manifest"}
    packed = [(done, total) for what, done, total in told if what == "packing weights"]
    assert packed[-1][0] == packed[-1][1] > 0
    engine = Engine.open(tmp_path / "engine")
    assert engine.drafter is engine.mtp is not None
    assert engine.vocab_size == 4096
    assert engine.raw_config()["vocab_size"] == 4096
    assert engine.is_packed
    assert engine.tokenizer_directory == tmp_path / "engine" / "tokenizer"


def test_a_head_that_no_recipe_asks_for_stays_on_disk(make_engine: Any) -> None:
    engine = Engine.open(make_engine("mixed"))
    assert engine.mtp is not None
    assert engine.drafter is None


def test_weights_in_the_hubs_layout_are_a_checkpoint(make_engine: Any) -> None:
    engine = Engine.open(make_engine("mixed", "cpu.lowering=torch"))
    assert not engine.is_packed
    assert engine.checkpoint().config.vocab_size == engine.vocab_size


@pytest.fixture
def spoiled(make_engine: Any, tmp_path: Path) -> Any:
    """Return a function that gives a copy of an engine whose manifest was changed and sealed again."""

    def change(**fields: Any) -> Any:
        directory = shutil.copytree(make_engine("mixed"), tmp_path / "engine", dirs_exist_ok=True)
        data = json.loads((directory / "engine.json").read_text())
        manifest = Manifest.model_validate({**data, **fields}).sealed()
        (directory / "engine.json").write_text(manifest.model_dump_json())
        return directory

    return change


def test_a_recipe_that_this_version_does_not_read_is_told_with_its_field(spoiled: Any, make_engine: Any) -> None:
    recipe = read_manifest(make_engine("mixed")).recipe
    assert Engine.open(spoiled(recipe=recipe)).recipe.runtime == "cpu"
    with pytest.raises(EngineError, match=r"does not read: cpu\.surprise: .*Rebuild the engine"):
        Engine.open(spoiled(recipe={**recipe, "cpu": {**recipe["cpu"], "surprise": 1}}))


def test_a_small_file_is_hashed_up_to_its_very_size(
    make_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = shutil.copytree(make_engine("mixed"), tmp_path / "engine")
    manifest, graph = read_manifest(directory), directory / "graph.json"
    content = bytearray(graph.read_bytes())
    content[-3] ^= 1
    graph.write_bytes(content)
    for limit, problems in ((len(content), ["graph.json was changed after the build"]), (len(content) - 1, [])):
        monkeypatch.setattr("trtnemo.engine.engine.SMALL_FILE", limit)
        assert verify_files(directory, manifest, thorough=False) == problems
    assert len(verify_files(directory, manifest, thorough=True)) == 1


def test_every_problem_of_an_engines_files_is_told(make_engine: Any, tmp_path: Path) -> None:
    directory = shutil.copytree(make_engine("mixed"), tmp_path / "engine")
    manifest = read_manifest(directory)
    (directory / "tokenizer" / "tokenizer.json").unlink()
    (directory / "b").write_text("")
    (directory / "a").write_text("")
    assert verify_files(directory, manifest, thorough=False) == [
        "tokenizer/tokenizer.json is missing",
        "a is not part of the build",
        "b is not part of the build",
    ]


BUNDLE = {
    "format_version": 1, "runtime": "vllm", "layout": "bundle-v1", "recipe_name": "b", "recipe": {}, "versions": {},
    "files": {}, "checkpoint": {"name": "o/m", "revision": None, "audited": False}, "server_version": None,
    "image": None, "command": ["vllm"], "container": [], "env": {}, "checked_against": "0.20.0", "findings": [],
}  # fmt: skip


def test_a_field_that_older_bundles_lack_does_not_change_their_digest() -> None:
    old, new = (BundleManifest.model_validate({**BUNDLE, **more}) for more in ({}, {"docker": ["docker", "run"]}))
    plain = old.model_dump(mode="json", exclude={"digest"})
    assert plain.pop("docker") is None
    assert old.compute_digest() != new.compute_digest()
    assert old.sealed().digest == old.compute_digest() == old.sealed().compute_digest()
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert old.compute_digest() == hashlib.sha256(text.encode()).hexdigest()


def test_a_bundle_is_read_and_no_engine_of_ours(tmp_path: Path) -> None:
    manifest = BundleManifest.model_validate(BUNDLE).sealed()
    (tmp_path / "engine.json").write_text(manifest.model_dump_json())
    assert read_manifest(tmp_path) == manifest
    with pytest.raises(EngineError, match="is a bundle for vllm, which our own runtime does not serve"):
        Engine.open(tmp_path)


def test_differences_are_told_by_dotted_key() -> None:
    one = BundleManifest.model_validate({**BUNDLE, "env": {"A": "1", "B": None}, "versions": {"numpy": "1"}})
    other = BundleManifest.model_validate({**BUNDLE, "env": {"A": "2"}, "versions": {}, "command": ["vllm", "é"]})
    found = [(item.key, item.first, item.second) for item in differences(one.sealed(), other.sealed())]
    assert found == [
        ("command", '["vllm"]', '["vllm", "é"]'),
        ("env.A", '"1"', '"2"'),
        ("env.B", "null", "-"),
        ("versions", "-", "{}"),
        ("versions.numpy", '"1"', "-"),
    ]
    assert differences(one, one.sealed()) == []

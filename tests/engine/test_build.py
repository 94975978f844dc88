"""Engines: whole or not at all, digested, verified, never edited by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.spoil import edit_config, edit_tensors
from trtnemo.engine import Engine, build_engine, verify_files
from trtnemo.engine.manifest import read_manifest
from trtnemo.errors import CheckpointError, EngineError, MachineError, RecipeError
from trtnemo.recipe import load_recipe


@pytest.fixture
def engine(make_engine: Any, tmp_path: Path) -> Any:
    """Return an engine of a test's own, to be spoiled."""
    return shutil.copytree(make_engine("mixed"), tmp_path / "engine")


def file_names(directory: Any) -> Any:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_an_engine_holds_packed_weights_and_no_second_copy(make_engine: Any, make_checkpoint: Any) -> None:
    directory = make_engine("mixed")
    assert file_names(directory) == {
        "engine.json",
        "graph.json",
        "cpu-v1/config.json",
        "cpu-v1/weights.bin",
        "cpu-v1/weights.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }
    with pytest.raises(EngineError, match="packed weights, which can no longer be read"):
        Engine.open(directory).checkpoint()


def test_an_engine_for_torch_holds_the_checkpoints_own_files(make_engine: Any, make_checkpoint: Any) -> None:
    directory = make_engine("mixed", "cpu.lowering=torch")
    assert file_names(directory) == {
        "engine.json",
        "graph.json",
        "hub-v1/config.json",
        "hub-v1/hf_quant_config.json",
        "hub-v1/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }
    weights = "model.safetensors"
    assert (directory / "hub-v1" / weights).read_bytes() == (make_checkpoint("mixed") / weights).read_bytes()


def test_two_builds_of_one_checkpoint_are_equal(make_checkpoint: Any, make_engine: Any, tmp_path: Path) -> None:
    again = build_engine(load_recipe("tiny", [f"checkpoint={make_checkpoint('mixed')}"]), "tiny", tmp_path / "again")
    assert again == read_manifest(make_engine("mixed"))


def test_a_sound_engine_opens_and_verifies(make_engine: Any, make_checkpoint: Any) -> None:
    opened = Engine.open(make_engine("mixed"))
    assert verify_files(opened.directory, opened.manifest, thorough=True) == []
    assert opened.mtp is not None
    assert opened.recipe.served_model_names == (make_checkpoint("mixed").name,)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "engine.json").unlink(), "is not an engine"),
        (lambda d: (d / "engine.json").write_text("{"), "cannot be read"),
        (lambda d: (d / "engine.json").write_text("[]"), "format None"),
        (lambda d: edit_json(d / "engine.json", format_version=2), "format 2"),
        (lambda d: edit_json(d / "engine.json", recipe_name="mine"), "edited after the build"),
        (lambda d: edit_json(d / "engine.json", surprise=1), "surprise"),
        (lambda d: (d / "graph.json").write_text((d / "graph.json").read_text() + " "), "graph.json has"),
        (lambda d: flip(d / "graph.json"), "graph.json was changed"),
        (lambda d: flip(d / "cpu-v1" / "weights.bin"), "weights.bin was changed"),
        (lambda d: (d / "tokenizer" / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda d: (d / "cpu-v1" / "extra.json").write_text("{}"), "not part of the build"),
    ],
)
def test_an_engine_edited_by_hand_is_refused(engine: Any, spoil: Any, message: str) -> None:
    spoil(engine)
    with pytest.raises(EngineError, match=message):
        Engine.open(engine)


def test_a_large_file_is_compared_by_size_at_start_and_by_digest_on_verify(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trtnemo.engine.engine.SMALL_FILE", 1 << 20)
    flip(engine / "cpu-v1" / "weights.bin")
    manifest = Engine.open(engine).manifest
    assert verify_files(engine, manifest, thorough=False) == []
    assert verify_files(engine, manifest, thorough=True) == ["cpu-v1/weights.bin was changed after the build"]


def edit_json(path: Any, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path: Any) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def test_a_spoiled_checkpoint_builds_no_engine(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint("nvfp4")
    edit_tensors(directory, lambda tensors: tensors.pop("backbone.layers.1.mixer.experts.3.up_proj.weight_scale"))
    with pytest.raises(CheckpointError, match="weight_scale: is missing"):
        build(directory, tmp_path / "engine")
    edit_config(directory, num_experts_per_tok=99)
    with pytest.raises(CheckpointError, match="exceeds n_routed_experts"):
        build(directory, tmp_path / "engine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


def build(checkpoint: Any, output: Any, *settings: Any, force: Any = False) -> Any:
    return build_engine(load_recipe("tiny", [f"checkpoint={checkpoint}", *settings]), "tiny", output, force=force)


@pytest.mark.parametrize(
    "setting",
    [
        "kv_cache.dtype=float16",
        "kv_cache.dtype=fp8",
        "cpu.activations=int8",
        "cpu.ssm_state=float16",
        "cpu.kv_tokens=100",
    ],
)
def test_what_torch_does_not_do_is_refused(make_checkpoint: Any, tmp_path: Path, setting: str) -> None:
    with pytest.raises(RecipeError, match="torch lowering"):
        build(make_checkpoint("mixed"), tmp_path / "engine", "cpu.lowering=torch", setting)


def test_without_a_compiler_an_engine_is_for_torch(
    make_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trtnemo.backends.cpu.runtime.find_native", lambda: None)
    monkeypatch.setattr("trtnemo.native.find_native", lambda: None)
    assert build(make_checkpoint("mixed"), tmp_path / "engine").layout == "hub-v1"
    with pytest.raises(MachineError, match=r"not compiled.*compiler"):
        build(make_checkpoint("mixed"), tmp_path / "other", "cpu.lowering=native")


def test_a_checkpoint_without_tokenizer_builds_no_engine(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint()
    (directory / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        build(directory, tmp_path / "engine")


def test_an_existing_engine_is_replaced_only_by_force(make_checkpoint: Any, engine: Any) -> None:
    with pytest.raises(EngineError, match=r"already exists.*--force"):
        build(make_checkpoint("bf16"), engine)
    build(make_checkpoint("bf16"), engine, force=True)
    assert Engine.open(engine).manifest.checkpoint.formats == {"plain": 96}
    assert [path.name for path in engine.parent.iterdir()] == ["engine"]


def test_force_never_replaces_what_is_no_engine(make_checkpoint: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters").write_text("dear")
    with pytest.raises(EngineError, match="--force does not replace it"):
        build(make_checkpoint("bf16"), tmp_path / "home", force=True)
    assert (tmp_path / "home" / "letters").read_text() == "dear"


def test_a_killed_build_leaves_no_engine_and_the_next_one_tidies_up(make_checkpoint: Any, tmp_path: Path) -> None:
    """The build is stopped for good while it copies; SIGKILL leaves no chance to clean up."""
    code = (
        "import sys, time, pathlib; from trtnemo.engine import build_engine; from trtnemo.recipe import load_recipe;"
        "build_engine(load_recipe('tiny', ['checkpoint=' + sys.argv[1]]), 'tiny', pathlib.Path(sys.argv[2]),"
        " progress=lambda *a: (print('copying', flush=True), time.sleep(60)))"
    )
    output = tmp_path / "engine"
    command = [sys.executable, "-c", code, str(make_checkpoint("bf16")), str(output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "copying\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    assert len(list(tmp_path.iterdir())) == 1
    build(make_checkpoint("bf16"), output)
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_build_that_fails_half_way_leaves_nothing(make_checkpoint: Any, tmp_path: Path) -> None:
    def fail(what: Any, done: Any, total: Any) -> None:
        raise OSError("disk on fire")

    recipe = load_recipe("tiny", [f"checkpoint={make_checkpoint('bf16')}"])
    with pytest.raises(OSError, match="disk on fire"):
        build_engine(recipe, "tiny", tmp_path / "engine", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_terminated_build_leaves_nothing(make_checkpoint: Any, tmp_path: Path) -> None:
    code = (
        "import sys, time, trtnemo.engine.build as b;"
        "real = b.hash_file; b.hash_file = lambda path: (print('hashing', flush=True), time.sleep(60), real(path));"
        "from trtnemo.cli import main; main()"
    )
    output = tmp_path / "engine"
    arguments = ["build", "--checkpoint", str(make_checkpoint("bf16")), "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hashing\n"
    process.terminate()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip() == "trtnemo: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_another_runtime_cannot_be_built_here(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no engine for runtime 'trtllm'"):
        build_engine(load_recipe("b200"), "b200", tmp_path / "engine")


@pytest.mark.parametrize(
    "setting",
    ["kv_cache.dtype=bfloat16", "parallel.tensor=2"],
)
def test_what_the_cpu_runtime_does_not_do_yet_is_refused_at_build(
    make_checkpoint: Any, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(RecipeError, match=setting.split("=")[0].split(".")[0]):
        build(make_checkpoint("bf16"), tmp_path / "engine", setting)
    assert os.listdir(tmp_path) == []


def test_drafting_without_an_mtp_head_is_refused_at_build(copy_checkpoint: Any, tmp_path: Path) -> None:
    checkpoint = copy_checkpoint("bf16")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"num_nextn_predict_layers": 0}))
    with pytest.raises(RecipeError, match="needs an MTP head"):
        build(checkpoint, tmp_path / "engine", "speculation.draft_tokens=2")


def test_a_disk_that_is_full_is_told_before_anything_is_written(
    make_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("trtnemo.engine.build.shutil.disk_usage", lambda path: usage)
    with pytest.raises(MachineError, match="1,000 are free"):
        build(make_checkpoint("bf16"), tmp_path / "engine")
    assert os.listdir(tmp_path) == []

"""Plans of an engine: shared, resumable, compared with their records, refused where they do not belong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.commands import interruptible
from trtnemo.backends.tensorrt import plans
from trtnemo.backends.tensorrt.lower import targets
from trtnemo.backends.tensorrt.plans import PLAN_INDEX, read_index
from trtnemo.backends.tensorrt.run import deserialized
from trtnemo.engine import Engine, build_engine
from trtnemo.errors import EngineError, MachineError, RecipeError
from trtnemo.recipe import load_recipe
from trtnemo.runtime import load_executor
from trtnemo.trt import library
from trtnemo.trt.build import PlanBuilder


@pytest.fixture
def recipe(make_checkpoint: Any) -> Any:
    def load(checkpoint: Any = "mixed", *settings: Any) -> Any:
        given = [f"checkpoint={make_checkpoint(checkpoint)}", "limits.max_seq_len=2048", *settings]
        return load_recipe("rtx-pro-6000", given)

    return load


@pytest.fixture
def engine(make_plans: Any, tmp_path: Path) -> Any:
    """Return an engine of a test's own, to be spoiled."""
    return shutil.copytree(make_plans("mixed"), tmp_path / "engine")


def _kept(output: Any) -> Any:
    return output.parent / f".{output.name}.plans"


def _start(checkpoint: Any, output: Any) -> Any:
    command = [sys.executable, "-m", "trtnemo", "build", "--recipe", "rtx-pro-6000", "--output", str(output)]
    command += ["--checkpoint", str(checkpoint), "--set", "limits.max_seq_len=2048"]
    with interruptible():
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_plans(process: Any, output: Any, count: Any) -> None:
    while process.poll() is None and len(list(_kept(output).glob("*.json"))) < count:
        time.sleep(0.01)


def test_layers_that_are_alike_share_a_plan_and_weights_stay_in_the_checkpoint(make_plans: Any) -> None:
    directory = make_plans("tiny")
    index = read_index(directory)
    advances = next(plan for plan in index.plans if plan.kind == "advance")
    assert len(advances.paths) == 3
    assert {path.name for path in (directory / "tensorrt").iterdir()} == {
        "plans.json",
        *(f"{plan.name}.plan" for plan in index.plans),
    }
    assert max(plan.constant_bytes for plan in index.plans) < 1 << 20
    assert all((directory / "tensorrt" / f"{plan.name}.plan").stat().st_size == plan.plan_bytes for plan in index.plans)


def test_an_interrupted_build_leaves_no_engine_and_is_taken_up_where_it_stood(
    make_checkpoint: Any, tmp_path: Path
) -> None:
    output = tmp_path / "engine"
    kept = _kept(output)
    process = _start(make_checkpoint("mixed"), output)
    _wait_for_plans(process, output, 4)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert len(finished) >= 4
    assert not output.exists()
    (sorted(finished)[0].with_suffix(".plan")).write_bytes(b"half")  # as a machine that lost power leaves it

    seen = []
    recipe = load_recipe("rtx-pro-6000", [f"checkpoint={make_checkpoint('mixed')}", "limits.max_seq_len=2048"])

    def note(what: Any, done: Any, total: Any) -> None:
        seen.append({path: path.stat().st_mtime_ns for path in kept.glob("*.json")})

    build_engine(recipe, "rtx-pro-6000", output, progress=note)
    rebuilt = [path for path, written in finished.items() if seen[-1][path] != written]
    assert rebuilt == sorted(finished)[:1]
    assert not kept.exists()
    assert Engine.open(output).manifest.runtime == "tensorrt"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_plan_ends_the_build_after_it(
    make_checkpoint: Any, tmp_path: Path, number: Any
) -> None:
    process = _start(make_checkpoint("mixed"), tmp_path / "engine")
    _wait_for_plans(process, tmp_path / "engine", 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Built" not in out
    assert "Exception caught" not in err
    assert not (tmp_path / "engine").exists()
    assert any(_kept(tmp_path / "engine").glob("*.json"))


def test_a_second_build_of_one_output_is_told_of_the_first(make_checkpoint: Any, recipe: Any, tmp_path: Path) -> None:
    process = _start(make_checkpoint("mixed"), tmp_path / "engine")
    _wait_for_plans(process, tmp_path / "engine", 1)
    with pytest.raises(EngineError, match="is being built by another process"):
        build_engine(recipe(), "x", tmp_path / "engine")
    assert process.communicate(timeout=60)[0].startswith("Built")
    assert Engine.open(tmp_path / "engine").manifest.runtime == "tensorrt"


def test_a_plan_that_changes_while_it_is_placed_is_no_part_of_an_engine(
    recipe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def spoil(index: Any, kept: Any, staging: Any) -> None:
        next(kept.glob("*.plan")).write_bytes(b"half")
        place(index, kept, staging)

    place = plans.place_plans
    monkeypatch.setattr("trtnemo.backends.tensorrt.runtime.place_plans", spoil)
    with pytest.raises(EngineError, match="was changed while the engine was built"):
        build_engine(recipe(), "x", tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize("setting", ["limits.max_batch_size=2", "hardware.compute_capability=12.1"])
def test_a_build_of_another_recipe_takes_over_no_plan(
    recipe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str
) -> None:
    """Settings are a part of plans' names, and the device is not."""
    output, counts, built = tmp_path / "engine", [], []

    def stop(what: Any, done: Any, total: Any) -> None:
        counts.append(len(list(_kept(output).glob("*.json"))))
        if len(counts) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(recipe(), "rtx-pro-6000", output, progress=stop)
    assert not output.exists()
    build = PlanBuilder.build

    def build_and_tell(self: PlanBuilder, *given: Any) -> Any:
        built.append(given)
        return build(self, *given)

    monkeypatch.setattr(PlanBuilder, "build", build_and_tell)
    assert counts.pop() == 3
    counts.clear()
    with pytest.raises(KeyboardInterrupt):  # told of the fourth plan: three are done
        build_engine(recipe("mixed", setting), "rtx-pro-6000", output, progress=stop)
    assert len(built) == 3


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_truncated_plan_is_refused_before_anything_loads(engine: Any, size: int) -> None:
    plan = next((engine / "tensorrt").glob("mamba-*.plan"))
    plan.write_bytes(plan.read_bytes()[:size])
    with pytest.raises(EngineError, match=r"mamba-\w+-\w+.plan has \d+ bytes"):
        Engine.open(engine)


def test_a_damaged_index_is_refused(engine: Any) -> None:
    (engine / PLAN_INDEX).write_text("{}")
    with pytest.raises(EngineError, match=r"plans\.json cannot be read|plans\.json: cannot be read"):
        read_index(engine)


def test_plans_of_another_tensorrt_are_refused(make_plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = library.Library("rtx", library.find_library().module, "1.6.0.1")
    monkeypatch.setattr("trtnemo.runtime.load_tensorrt.find_library", lambda flavor: other)
    with pytest.raises(EngineError, match=r"built by TensorRT for RTX 1\.7.*installed is 1\.6\.0\.1"):
        load_executor(Engine.open(make_plans("mixed")), interpret=True)


def test_plans_for_another_device_are_refused(make_plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (12, 1))
    with pytest.raises(EngineError, match=r"for compute capability 12\.0, this GPU has 12\.1"):
        deserialized.require_device(read_index(make_plans("mixed")), torch.device("cuda"))


def test_without_a_gpu_plans_are_not_run(make_plans: Any) -> None:
    with pytest.raises(MachineError, match="compiled and interpreted, never run"):
        load_executor(Engine.open(make_plans("mixed")))


def test_networks_that_this_version_would_write_otherwise_are_not_interpreted(
    make_plans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trtnemo.plugins.mamba2.tensorrt.CHUNK", 32)
    with pytest.raises(EngineError, match="built from another network"):
        load_executor(Engine.open(make_plans("mixed")), interpret=True)


def test_without_the_extra_nothing_is_built(recipe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library, "MODULES", {"rtx": ("no_such_module",), "full": ("no_such_module",)})
    with pytest.raises(MachineError, match=r"pip install 'trtnemo\[tensorrt\]'"):
        build_engine(recipe(), "rtx-pro-6000", tmp_path / "engine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("capability", "words"),
    [("8.9", "NVFP4 weights compile for compute capability 12.0"), ("10.0", "not 10.0"), ("7.5", "NVFP4")],
)
def test_a_device_without_the_types_is_refused(recipe: Any, tmp_path: Path, capability: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build_engine(recipe("nvfp4", f"hardware.compute_capability={capability}"), "x", tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


def test_bfloat16_is_refused_below_8_0(recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"bfloat16 compiles for compute capability 8\.0"):
        build_engine(recipe("bf16", "hardware.compute_capability=7.5"), "x", tmp_path / "engine")


def test_a_checkpoint_without_fp4_builds_for_8_9(recipe: Any, tmp_path: Path) -> None:
    build_engine(recipe("bf16", "hardware.compute_capability=8.9"), "x", tmp_path / "engine")
    assert read_index(tmp_path / "engine").compute_capability == "8.9"


def test_what_the_builder_refuses_is_told_with_the_module_it_came_from(
    recipe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(targets, "_FROM_FP4", (8, 0))  # let the builder itself find that this device has no FP4
    with pytest.raises(EngineError, match=r"^backbone\.layers\.\d+.*: TensorRT for RTX refuses.*fp4_e2m1"):
        build_engine(recipe("nvfp4", "hardware.compute_capability=8.9"), "x", tmp_path / "engine")


def test_a_layer_that_the_builder_names_is_told_by_its_node(
    recipe: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(self: PlanBuilder, network: Any, profile: Any) -> Any:
        names = [network.get_layer(index).name for index in range(network.num_layers)]
        wanted = next((name for name in names if name.startswith("mixer.mamba2/")), None)
        if wanted:
            raise EngineError(f"Error Code 4: {wanted}: broadcast dimensions must agree")
        return build(self, network, profile)

    build = PlanBuilder.build
    monkeypatch.setattr(PlanBuilder, "build", refuse)
    with pytest.raises(EngineError, match=r"^backbone\.layers\.0\.mixer\.mamba2.*\(mamba, decode\): Error Code 4"):
        build_engine(recipe(), "x", tmp_path / "engine")


def test_lengths_beyond_the_profile_are_refused(make_plans: Any) -> None:
    engine = Engine.open(make_plans("mixed"))
    executor: Any = load_executor(engine, interpret=True)
    runner = executor.target
    most = read_index(engine.directory).settings.slots * 8
    assert len(runner.logits(torch.zeros(most + 1, 128))) == most + 1  # in two runs, each within the profile
    runner._most_logits = most + 1
    with pytest.raises(EngineError, match=rf"\[{most + 1}, 128\] of 'in.0' lies outside its profile"):
        runner.logits(torch.zeros(most + 1, 128))


def test_what_tensorrt_says_of_a_plan_that_it_cannot_load_is_told(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deserialized, "require_device", lambda index, device: None)
    index = read_index(engine)
    opened = deserialized.DeserializedPlans(engine, index, library.find_library(), torch.device("cpu"))
    name = index.plans[0].name
    (engine / "tensorrt" / f"{name}.plan").write_bytes(b"no plan" * 100)
    with pytest.raises(EngineError, match=rf"^tensorrt/{name}\.plan: cannot be loaded: .*[Ss]erialization"):
        opened.open(name)

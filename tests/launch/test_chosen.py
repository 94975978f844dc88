"""What runs a model on this machine is chosen by what is here, and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import CheckpointError, MachineError, RecipeError, UsageError
from trtnemo.gpus import DeviceList, InstalledDevice
from trtnemo.launch import chosen
from trtnemo.launch.chosen import choose
from trtnemo.plan.hardware import DeviceMemory

NANO, SUPER = "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the machine so much memory, and GPUs."""

    def give(gib: float, *devices: InstalledDevice) -> None:
        memory = DeviceMemory(title="CPU with 2 cores", memory_mib=int(gib * 1024), unified=True)
        monkeypatch.setattr(chosen, "cpu_device", lambda reached: memory)
        listed = DeviceList(devices, None if devices else "nvidia-smi is not on PATH")
        for module in ("trtnemo.launch.chosen", "trtnemo.recipe.detected"):
            monkeypatch.setattr(f"{module}.list_devices", lambda: listed)

    return give


def gpu(name: str, memory_mib: int, capability: str) -> InstalledDevice:
    return InstalledDevice(name, memory_mib, capability, "GPU-1")


def test_without_a_gpu_the_cpu_runs_it_where_memory_holds_it(machine: Any) -> None:
    machine(24)
    found = choose(f"{NANO}-NVFP4")
    assert (found.name, found.recipe.runtime, found.recipe.checkpoint) == ("nano-cpu", "cpu", f"{NANO}-NVFP4")
    assert found.why == "no GPU: nvidia-smi is not on PATH"
    assert found.verdict.kind == "fits"


@pytest.mark.parametrize(
    ("gib", "model", "fits"),
    [
        (24, f"{NANO}-BF16", f"{NANO}-NVFP4 fits this machine"),
        (24, f"{SUPER}-NVFP4", "-NVFP4 fits this machine"),
        (96, f"{SUPER}-BF16", f"{SUPER}-NVFP4 fits this machine"),
        (8, f"{NANO}-NVFP4", "No released model fits this machine; `tiny` does"),
        (24, "super-cpu", "fits this machine"),
    ],
)
def test_model_larger_than_memory_is_refused_with_what_fits(machine: Any, gib: int, model: str, fits: str) -> None:
    machine(gib)
    with pytest.raises(MachineError) as told:
        choose(model)
    assert "does not fit" in told.value.what
    assert fits in str(told.value.remedy)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("limits.max_seq_len=4000000", "lower limits.max_batch_size (4) or limits.max_seq_len (4,000,000)"),
        ("limits.max_batch_size=100000", "lower limits.max_batch_size (100,000) or limits.max_seq_len (32,768)"),
    ],
)
def test_limits_that_do_not_fit_are_told_and_no_other_model(machine: Any, settings: str, told: str) -> None:
    machine(24)
    for model in (f"{NANO}-NVFP4", "nano-cpu"):
        with pytest.raises(MachineError) as error:
            choose(model, (settings,))
        assert told in str(error.value.remedy)


def test_nothing_smaller_is_named_where_the_smallest_does_not_fit(machine: Any) -> None:
    machine(1 / 1024)
    with pytest.raises(MachineError) as error:
        choose("tiny")
    assert str(error.value.remedy).startswith("No released model fits this machine. `trtnemo plan`")


def test_gpu_with_room_comes_first_and_one_without_is_said(machine: Any) -> None:
    machine(256, gpu("NVIDIA H200", 143771, "9.0"))
    found = choose(f"{SUPER}-NVFP4")
    assert (found.recipe.runtime, found.why) == ("cuda", "NVIDIA H200 has room for it")
    machine(256, gpu("NVIDIA GeForce RTX 5090", 32607, "12.0"))
    found = choose(f"{SUPER}-NVFP4")
    assert found.recipe.runtime == "cpu"
    assert found.why.startswith("no GPU: does not fit: 1x")
    machine(256, gpu("Tesla V100", 32768, "7.0"))
    assert "compute capability 7.0; our kernels need 8.0" in choose(f"{SUPER}-NVFP4").why


def test_recipe_that_is_named_is_taken_and_settings_are_applied(machine: Any, tmp_path: Path) -> None:
    machine(24)
    found = choose("nano-cpu", ("limits.max_batch_size=1",))
    assert (found.recipe.limits.max_batch_size, found.why) == (1, "the recipe was named")
    (tmp_path / "own.yaml").write_text("runtime: cpu\ncheckpoint: tiny\nhardware: {name: cpu}\n")
    assert choose(str(tmp_path / "own.yaml")).recipe.checkpoint == "tiny"


@pytest.mark.parametrize(
    ("model", "settings", "error", "told"),
    [
        ("b200", (), RecipeError, "is another server's"),
        ("nowhere/", (), CheckpointError, "no such directory"),
        ("no such model", (), CheckpointError, "no such directory"),
        (f"{NANO}-NVFP4", ("limits.max_batch=1",), RecipeError, "max_batch"),
        (f"{NANO}-NVFP4", ("limits",), UsageError, "limits"),
        ("", (), CheckpointError, "no name"),
    ],
)
def test_what_is_no_model_is_told(
    machine: Any, model: str, settings: tuple[str, ...], error: type[Exception], told: str
) -> None:
    machine(24)
    with pytest.raises(error, match=told):
        choose(model, settings)

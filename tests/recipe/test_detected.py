"""The recipe `gpu`, with the rows that nvidia-smi prints on machines that people describe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import MachineError
from trtnemo.recipe import CudaRecipe, load_recipe


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: Any) -> Any:
    """Return a function that puts an nvidia-smi on PATH which prints some rows."""

    def put(*rows: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return put


@pytest.mark.parametrize(
    ("row", "name", "model"),
    [
        ("NVIDIA H100 80GB HBM3, 81559, 9.0", "h100", "Nano"),
        ("NVIDIA H100 PCIe, 81559, 9.0", "h100", "Nano"),
        ("NVIDIA H200, 143771, 9.0", "h200", "Super"),
        ("NVIDIA B200, 183359, 10.0", "b200", "Super"),
        ("NVIDIA GB200, 189471, 10.0", "gb200", "Super"),
        ("NVIDIA GB10, [N/A], 12.1", "dgx-spark", "Super"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition, 97887, 12.0", "rtx-pro-6000", "Super"),
        ("NVIDIA GeForce RTX 5090, 32607, 12.0", "rtx-5090", "Nano"),
    ],
)
def test_a_known_gpu_gets_its_own_recipe(smi: Any, row: str, name: str, model: str) -> None:
    smi(row)
    recipe = load_recipe("gpu")
    assert isinstance(recipe, CudaRecipe)
    assert recipe.hardware.name == name
    assert model in recipe.checkpoint


@pytest.mark.parametrize(
    ("row", "capability", "model"),
    [
        ("NVIDIA A100-SXM4-80GB, 81920, 8.0", "8.0", "Nano"),
        ("NVIDIA GH200 480GB, 97871, 9.0", "9.0", "Nano"),
        ("NVIDIA B300 SXM6 AC, 275040, 10.3", "10.3", "Super"),
        ("NVIDIA L40S, 46068, 8.9", "8.9", "Nano"),
        ("NVIDIA GeForce RTX 5090 Laptop GPU, 24463, 12.0", "12.0", "Nano"),
    ],
)
def test_another_gpu_gets_what_its_memory_may_hold(smi: Any, row: str, capability: str, model: str) -> None:
    smi(row, "NVIDIA T4, 15360, 7.5")
    recipe = load_recipe("gpu")
    assert recipe.hardware.compute_capability == capability
    assert str(recipe.hardware.memory_mib) in row
    assert model in recipe.checkpoint


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Tesla V100-SXM2-32GB, 32768, 7.0", "has compute capability 7.0"),
        ("NVIDIA GeForce RTX 3060, 12288, 8.6", "less than Nano"),
        ("No devices were found", "shows none"),
    ],
)
def test_a_gpu_that_cannot_do_it_is_told_so(smi: Any, row: str, message: str) -> None:
    smi(row)
    with pytest.raises(MachineError, match=message):
        load_recipe("gpu")


def test_the_gpu_that_is_visible_counts(smi: Any, monkeypatch: Any) -> None:
    smi("NVIDIA T4, 15360, 7.5", "NVIDIA H200, 143771, 9.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert load_recipe("gpu").hardware.name == "h200"


def test_settings_change_what_was_picked(smi: Any) -> None:
    smi("NVIDIA H200, 143771, 9.0")
    assert load_recipe("gpu", ("limits.max_batch_size=2",)).limits.max_batch_size == 2

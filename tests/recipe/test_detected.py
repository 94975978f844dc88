"""The recipe `gpu`, with the rows that nvidia-smi prints on machines that people describe."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import MachineError
from trtnemo.recipe import CudaRecipe, load_recipe

UUIDS = ("GPU-7f57f032-34ab-a064-c37c-7a4f75601cc5", "GPU-8c7c9c30-f12f-20bf-e14e-d3c4c965af32")


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: Any) -> Any:
    """Return a function that puts an nvidia-smi on PATH which prints GPUs' rows, or says why it cannot."""

    def put(*rows: str, mig: str = "[N/A]", said: str = "", code: int = 0) -> None:
        lines = [f"{row}, {uuid}, {mig}" for row, uuid in zip(rows, UUIDS, strict=False)]
        program = tmp_path / "nvidia-smi"
        text = "".join(f"{line}\n" for line in [*lines, said])
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
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
        ("NVIDIA H100L-2-24C, 24576, 9.0", "9.0", "Nano"),
    ],
)
def test_another_gpu_gets_what_its_memory_may_hold(smi: Any, row: str, capability: str, model: str) -> None:
    smi(row)
    recipe = load_recipe("gpu")
    assert recipe.hardware.compute_capability == capability
    assert str(recipe.hardware.memory_mib) in row
    assert recipe.hardware.name.startswith("nvidia-")  # no recipe's own device
    assert model in recipe.checkpoint


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Tesla V100-SXM2-32GB, 32768, 7.0", "has compute capability 7.0"),
        ("NVIDIA GeForce RTX 3060, 12288, 8.6", "less than Nano"),
        ("NVIDIA A10G, 23028, 8.6", "less than Nano"),
        ("NVIDIA H200, [Unknown Error], 9.0", "does not tell its memory"),
        ("NVIDIA Thor, [N/A], 11.0", "does not tell its memory"),
    ],
)
def test_a_gpu_that_cannot_do_it_is_told_so(smi: Any, row: str, message: str) -> None:
    smi(row)
    with pytest.raises(MachineError, match=message):
        load_recipe("gpu")


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("No devices were found", 6, "says: No devices were found"),
        ('Field "compute_cap" is not a valid field to query.', 2, "driver is older than 495"),
        ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.133", 18, "mismatch$"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, "couldn't communicate"),
        ("Unable to determine the device handle for GPU0: 0000:01:00.0: GPU is lost.", 15, "GPU is lost"),
        ("", 1, "ends with 1 and no word"),
        ("", 0, "lists no GPU"),
    ],
)
def test_why_nvidia_smi_shows_none_is_repeated(smi: Any, said: str, code: int, message: str) -> None:
    smi(said=said, code=code)
    with pytest.raises(MachineError) as raised:
        load_recipe("gpu")
    assert re.search(message, raised.value.what)


@pytest.mark.parametrize(
    ("row", "mig"),
    [
        ("NVIDIA A100-SXM4-80GB, [Insufficient Permissions], 8.0", "Enabled"),  # in a pod, unprivileged
        ("NVIDIA H100 80GB HBM3, 81559, 9.0", "Enabled"),  # the whole board's memory, of which a slice is visible
        ("NVIDIA A100-SXM4-40GB, [Insufficient Permissions], 8.0", "[N/A]"),
    ],
)
def test_a_slice_of_a_gpu_is_not_taken_for_the_whole(smi: Any, row: str, mig: str) -> None:
    smi(row, mig=mig)
    with pytest.raises(MachineError, match="how much memory there is cannot be read"):
        load_recipe("gpu")


def test_a_board_of_a_known_name_is_planned_with_its_own_memory(smi: Any) -> None:
    smi("NVIDIA H100 NVL, 95830, 9.0", mig="Disabled")
    assert load_recipe("gpu").hardware.memory_mib == 95830
    smi("NVIDIA H100L-2-24C, 24576, 9.0")  # a virtual GPU is no H100
    assert load_recipe("gpu").hardware.name == "nvidia-h100l-2-24c"


@pytest.mark.parametrize("visible", ["1", "1,0", UUIDS[1], "GPU-8c7c", " 1 , 0"])
def test_the_gpu_that_is_visible_counts(smi: Any, monkeypatch: Any, visible: str) -> None:
    smi("NVIDIA T4, 15360, 7.5", "NVIDIA H200, 143771, 9.0")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert load_recipe("gpu").hardware.name == "h200"


@pytest.mark.parametrize(
    ("visible", "message"),
    [
        ("MIG-377e0049-554c-540b-93c6-d0976f8426cb", "names a MIG instance"),
        ("MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/2", "names a MIG instance"),
        ("", "none of this machine's GPUs"),
        ("-1", "none of this machine's GPUs"),
        ("2", "none of this machine's GPUs"),
        ("NoDevFiles", "none of this machine's GPUs"),
        ("GPU-", "more than one"),
        ("GPU-ab-a064", "none of this machine's GPUs"),  # the middle of one
        ("GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc", "none of this machine's GPUs"),
    ],
)
def test_a_choice_that_leaves_no_gpu_is_told(smi: Any, monkeypatch: Any, visible: str, message: str) -> None:
    smi("NVIDIA H200, 143771, 9.0", "NVIDIA H200, 143771, 9.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(MachineError, match=message):
        load_recipe("gpu")


def test_gpus_that_differ_are_not_counted_the_way_nvidia_smi_lists_them(smi: Any) -> None:
    smi("NVIDIA T4, 15360, 7.5", "NVIDIA H200, 143771, 9.0")
    with pytest.raises(MachineError, match="CUDA counts the fastest first"):
        load_recipe("gpu")


def test_settings_change_what_was_picked(smi: Any) -> None:
    smi("NVIDIA H200, 143771, 9.0")
    assert load_recipe("gpu", ("limits.max_batch_size=2",)).limits.max_batch_size == 2

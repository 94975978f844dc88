"""What a machine must have before kernels run on its GPU, and what is said where it has not."""

from __future__ import annotations

import json
import logging
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX, KernelIndex
from trtnemo.errors import EngineError, MachineError
from trtnemo.runtime import cuda_device
from trtnemo.runtime.load_cuda import _offer_compiled


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: Any) -> Any:
    """Return a function that makes PATH hold nothing but programs which print what they are given."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.delenv("CC", raising=False)

    def put(name: str, *lines: str) -> None:
        (place / name).write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        (place / name).chmod(0o755)

    return put


def test_a_machine_without_a_compiler_is_told_why_one_is_needed(programs: Any, monkeypatch: Any) -> None:
    with pytest.raises(MachineError, match="Triton finds no C compiler"):
        cuda_device.require_compiler()
    programs("cc")
    cuda_device.require_compiler()
    monkeypatch.setenv("CC", "gcc-13")
    with pytest.raises(MachineError, match="gcc-13"):
        cuda_device.require_compiler()


def test_a_driver_that_is_too_old_is_named(monkeypatch: Any) -> None:
    def is_available() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).\nPlease update",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    with pytest.raises(MachineError) as found:
        cuda_device.require_device()
    assert "too old (found version 11040)" in found.value.render()


def test_a_gpu_before_8_0_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(MachineError, match=r"compute capability 7\.5"):
        cuda_device.require_device()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            ("1234, /usr/bin/python3, 60211", "77, vllm::EngineCore, 1024"),
            "python3 (pid 1234) holds 60211 MiB, vllm::EngineCore (pid 77)",
        ),
        (("991, [Not Found], [N/A]",), "[Not Found] (pid 991) holds 0 MiB"),
        ((), "plan --recipe"),
    ],
)
def test_who_holds_the_memory_is_named(programs: Any, rows: tuple[str, ...], said: str) -> None:
    programs("nvidia-smi", f"{os.getpid()}, trtnemo, 5000", *rows)
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore")
    told = cuda_device.does_not_fit(error, "engine").render()
    assert "Tried to allocate 2.00 GiB" in told
    assert said in told
    assert "trtnemo (pid" not in told


def engine_with(directory: Path, triton: str) -> Any:
    index = KernelIndex(triton=triton, compute_capability="9.0", launches={}, kernels=())
    (directory / "cuda" / "triton").mkdir(parents=True)
    (directory / KERNEL_INDEX).write_text(json.dumps(index.model_dump(mode="json")))
    files = {KERNEL_INDEX: SimpleNamespace(sha256="ab" * 32)}
    return SimpleNamespace(directory=directory, manifest=SimpleNamespace(files=files))


def test_kernels_of_the_engine_are_offered_to_triton_in_a_copy(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    engine = engine_with(tmp_path / "engine", version("triton"))
    (engine.directory / "cuda" / "triton" / "kernel.cubin").write_bytes(b"code")
    _offer_compiled(engine, (9, 0))
    offered = Path(os.environ["TRITON_CACHE_DIR"])
    assert (offered / "kernel.cubin").read_bytes() == b"code"
    assert not offered.is_relative_to(engine.directory)


@pytest.mark.parametrize(("triton", "capability"), [("3.0.0", (9, 0)), (None, (10, 0))])
def test_kernels_that_do_not_fit_are_compiled_anew_and_that_is_said(
    tmp_path: Path, monkeypatch: Any, caplog: Any, triton: str | None, capability: tuple[int, int]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    with caplog.at_level(logging.WARNING):
        _offer_compiled(engine_with(tmp_path / "engine", triton or version("triton")), capability)
    assert "kernels are compiled here" in caplog.text
    assert "TRITON_CACHE_DIR" not in os.environ


def test_an_index_that_cannot_be_read_is_no_reason_to_guess(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    engine = engine_with(tmp_path / "engine", "3.9.0")
    (engine.directory / KERNEL_INDEX).write_text("{")
    with pytest.raises(EngineError, match="no index"):
        _offer_compiled(engine, (9, 0))

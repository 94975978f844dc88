"""From an engine with kernels to its executor."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trtnemo.backends import Budget
from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX, KERNELS, read_kernels
from trtnemo.backends.cuda.runtime import limits_of
from trtnemo.engine import Engine
from trtnemo.errors import EngineError, MachineError
from trtnemo.kernels.family import LEAST_CAPABILITY, family_of, overlaps
from trtnemo.kernels.mode import interpret_kernels, require_triton
from trtnemo.recipe import CudaRecipe

if TYPE_CHECKING:  # whose import defines the kernels, and so decides whether they are interpreted
    from trtnemo.backends.cuda.executor import CudaExecutor


def load_cuda(engine: Engine, budget: Budget, interpret: bool) -> CudaExecutor:
    """Return the executor of an engine, weights on the device; raises EngineError, or MachineError without a GPU.

    `interpret` computes every kernel in numpy on the CPU instead, program by program.
    """
    if interpret:
        interpret_kernels()
        torch.set_num_threads(1)  # many small arrays: threads would wait for each other more than they work
        return _load(engine, budget, torch.device("cpu"), (8, 0))
    require_triton()
    device, capability = _device()
    _offer_compiled(engine, capability)
    try:
        return _load(engine, budget, device, capability)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"weights and states do not fit the device: {str(error).splitlines()[0]}",
            where=str(engine.directory),
            remedy="`nvidia-smi` shows which process holds its memory; `trtnemo plan --recipe` says which limits fit",
        ) from None


def _load(engine: Engine, budget: Budget, device: torch.device, capability: tuple[int, int]) -> CudaExecutor:
    from trtnemo.backends.cuda.make import make_executor
    from trtnemo.backends.cuda.weights import load_weights
    from trtnemo.kernels.launch import Launcher

    if not isinstance(engine.recipe, CudaRecipe):
        raise EngineError("its recipe is not for runtime 'cuda'", where=str(engine.directory))
    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    family, interpreted = family_of(capability), device.type == "cpu"
    limits = limits_of(engine.recipe)
    weights = load_weights(engine.checkpoint(), graphs, family, device, fp8_drafts=limits.fp8_drafts)
    launch = Launcher(device, family, not interpreted and overlaps(capability))
    return make_executor(graphs, weights, launch, limits, budget)


def _device() -> tuple[torch.device, tuple[int, int]]:
    """Return the device and its compute capability; raises MachineError where there is none that kernels are for."""
    if not torch.cuda.is_available():
        raise MachineError(
            "this machine has no NVIDIA GPU that torch can use: kernels were compiled and interpreted, never run",
            remedy="`trtnemo serve --engine DIR --interpret` computes them on the CPU, slowly",
        )
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < LEAST_CAPABILITY:
        raise MachineError(f"its GPU has compute capability {major}.{minor}; our kernels need 8.0")
    return torch.device("cuda"), (major, minor)


def _offer_compiled(engine: Engine, capability: tuple[int, int]) -> None:
    """Let Triton find the engine's kernels, in a copy that it may add to; it compiles what is not there."""
    path = engine.directory / KERNEL_INDEX
    if not path.is_file() or "TRITON_CACHE_DIR" in os.environ:
        return
    index = read_kernels(engine.directory)
    if index.compute_capability != f"{capability[0]}.{capability[1]}":
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    copied = home / "trtnemo" / "triton" / engine.manifest.files[KERNEL_INDEX].sha256[:16]
    if not copied.is_dir():
        copied.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copied.parent) as unfinished:
            whole = shutil.copytree(engine.directory / KERNELS / "triton", Path(unfinished) / "whole")
            try:
                whole.rename(copied)
            except OSError:
                if not copied.is_dir():  # else another server has made it meanwhile
                    raise
    os.environ["TRITON_CACHE_DIR"] = str(copied)

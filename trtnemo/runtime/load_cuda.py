"""From an engine with kernels to its executor."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trtnemo.backends import Budget
from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX, KERNELS, read_kernels
from trtnemo.backends.cuda.runtime import limits_of
from trtnemo.engine import Engine
from trtnemo.errors import EngineError
from trtnemo.kernels.mode import interpret_kernels, require_triton
from trtnemo.recipe import CudaRecipe
from trtnemo.runtime.cuda_device import does_not_fit, require_compiler, require_device

if TYPE_CHECKING:  # whose import defines the kernels, and so decides whether they are interpreted
    from trtnemo.backends.cuda.executor import CudaExecutor

logger = logging.getLogger(__name__)


def load_cuda(engine: Engine, budget: Budget, interpret: bool) -> CudaExecutor:
    """Return the executor of an engine, weights on the device; raises EngineError, or MachineError without a GPU.

    `interpret` computes every kernel in numpy on the CPU instead, program by program.
    """
    if interpret:
        interpret_kernels()
        torch.set_num_threads(1)  # many small arrays: threads would wait for each other more than they work
        return _load(engine, budget, torch.device("cpu"), (8, 0))
    require_triton()
    device, capability = require_device()
    require_compiler()
    _offer_compiled(engine, capability)
    try:
        return _load(engine, budget, device, capability)
    except torch.OutOfMemoryError as error:
        raise does_not_fit(error, str(engine.directory)) from None


def _load(engine: Engine, budget: Budget, device: torch.device, capability: tuple[int, int]) -> CudaExecutor:
    from trtnemo.backends.cuda.make import make_executor, make_launcher
    from trtnemo.backends.cuda.weights import load_weights

    if not isinstance(engine.recipe, CudaRecipe):
        raise EngineError("its recipe is not for runtime 'cuda'", where=str(engine.directory))
    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    limits, stages = limits_of(engine.recipe), Stages()
    launch = make_launcher(device, capability, limits)
    weights = load_weights(engine.checkpoint(), graphs, launch.family, device, fp8_drafts=limits.fp8_drafts)
    stages.end(f"{weights.nbytes / 1e9:.1f} GB of weights")
    executor = make_executor(graphs, weights, launch, limits, budget)
    stages.end("states")
    if not executor.computes_here:
        stages.end(f"{executor.prepare()} captured steps")
    executor.stages = stages.ended
    return executor


class Stages:
    """Seconds of what is done in turn."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, float]] = []
        self._began = time.monotonic()

    def end(self, stage: str) -> None:
        """Note that a stage has ended, and that the next one begins."""
        now = time.monotonic()
        self.ended.append((stage, now - self._began))
        self._began = now


def _offer_compiled(engine: Engine, capability: tuple[int, int]) -> None:
    """Let Triton find the engine's kernels, in a copy that it may add to; it compiles what is not there."""
    path = engine.directory / KERNEL_INDEX
    if not path.is_file() or "TRITON_CACHE_DIR" in os.environ:
        return
    index, here = read_kernels(engine.directory), f"{capability[0]}.{capability[1]}"
    if (index.compute_capability, index.triton) != (here, version("triton")):
        logger.warning(
            "kernels are compiled here, which takes a minute or two: the engine's are for compute capability %s, made "
            "by Triton %s",
            index.compute_capability,
            index.triton,
        )
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

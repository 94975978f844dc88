"""Where the time of a decoded token goes on a GPU, kernel by kernel; over interpreted kernels, of the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trtnemo.backends import make_batch
from trtnemo.bench.profile import fitting_prompt
from trtnemo.engine import Engine
from trtnemo.runtime import load_executor

if TYPE_CHECKING:  # whose import defines the kernels, and so decides whether they are interpreted
    from trtnemo.backends.cuda.executor import CudaExecutor


@dataclass(frozen=True)
class KernelCost:
    """All launches of one kernel in a step; seconds of all of them together."""

    name: str
    launches: float
    seconds: float


@dataclass(frozen=True)
class KernelProfile:
    """Kernels of a decoded token and of a prompt, those with most time first.

    captured: seconds of a decode step as it is served, captured and with its gaps; kernels alone add up to less.
    """

    interpreted: bool
    captured: float
    decode: tuple[KernelCost, ...]
    prefill: tuple[KernelCost, ...]


def profile_kernels(engine: Engine, prompt: int = 512, tokens: int = 64, *, interpret: bool = False) -> KernelProfile:
    """Measure an engine of runtime 'cuda'; raises MachineError without a GPU, or where the context is too short."""
    executor: Any = load_executor(engine, interpret=interpret)
    prompt = fitting_prompt(executor.budget, prompt, 2 * tokens, engine)  # captured, then kernel by kernel
    return profile_executor(executor, prompt, tokens)


def profile_executor(executor: CudaExecutor, prompt: int, tokens: int) -> KernelProfile:
    """Measure an executor whose slot 0 is empty."""
    ids = np.random.default_rng(0).integers(0, executor.budget.vocab_size, prompt).tolist()
    position = prompt

    def prefill() -> None:
        executor.release(0)
        executor.forward(make_batch([(0, 0, ids, False)], [prompt - 1]))

    def decode() -> None:
        nonlocal position
        executor.forward(make_batch([(0, position, [ids[0]], False)]))
        position += 1

    def decode_all() -> None:
        for _ in range(tokens):
            decode()

    prefill()  # the first step compiles, and touches memory for the first time
    decode()
    started = time.perf_counter()
    for _ in range(tokens - 1):
        decode()
    captured = (time.perf_counter() - started) / max(tokens - 1, 1)
    executor.runner.watch = lambda graph, node, value: value  # each kernel is launched by itself
    decoded = _measured(executor, decode_all, tokens)
    prefilled = _measured(executor, prefill, 1)
    executor.runner.watch = None
    return KernelProfile(executor.computes_here, captured, decoded, prefilled)


def _measured(executor: CudaExecutor, work: Callable[[], object], steps: int) -> tuple[KernelCost, ...]:
    timer = _Timer(executor.computes_here)
    launch = executor.runner.launch
    with launch.recorded_by(timer.run):
        work()
    return timer.costs(steps)


class _Timer:
    """Seconds of every launch by the kernel's name: by events on a device, by the clock in the interpreter."""

    def __init__(self, interpreted: bool) -> None:
        self._interpreted = interpreted
        self._spans: list[tuple[str, Any, Any]] = []

    def run(self, name: str, call: Callable[[], None]) -> None:
        """Launch a kernel and note when it began and ended."""
        began = self._now()
        call()
        self._spans.append((name, began, self._now()))

    def costs(self, steps: int) -> tuple[KernelCost, ...]:
        """Return what kernels cost a step, those with most time first."""
        found: dict[str, list[float]] = {}
        for name, began, ended in self._spans:
            seconds = ended - began if self._interpreted else self._between(began, ended)
            found.setdefault(name, []).append(seconds)
        costs = [KernelCost(name, len(each) / steps, sum(each) / steps) for name, each in found.items()]
        return tuple(sorted(costs, key=lambda cost: -cost.seconds))

    def _now(self) -> Any:
        if self._interpreted:
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    @staticmethod
    def _between(began: Any, ended: Any) -> float:
        ended.synchronize()
        return float(began.elapsed_time(ended)) / 1e3

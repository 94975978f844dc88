"""A step's work recorded once and run again at the same addresses: CUDA graphs, and a tape where kernels are
interpreted, so that what a graph may not do (allocate, ask the host, freeze a number) shows without a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trtnemo.kernels.launch import Launcher

T = TypeVar("T")


class Captured(Generic[T]):
    """Work that was recorded; `outputs` stay at their addresses."""

    outputs: T

    def __call__(self) -> None:
        """Run it again."""
        raise NotImplementedError


class DeviceGraph(Captured[T]):
    """A CUDA graph; the work runs once before, over whatever its inputs hold, to compile and to allocate."""

    def __init__(self, work: Callable[[], T], pool: Any) -> None:
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            work()
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self.outputs = work()

    def __call__(self) -> None:
        """Replay the graph."""
        self._graph.replay()


class Tape(Captured[T]):
    """Every launch and every operation of torch, in order, run again on the same tensors."""

    def __init__(self, launch: Launcher, work: Callable[[], T]) -> None:
        self._recorder = _Recorder()
        with self._recorder, launch.recorded_by(self._recorder.launch):
            self.outputs = work()

    def __call__(self) -> None:
        """Run all of it again."""
        for call in self._recorder.calls:
            call()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Callable[[], None]] = []
        self._is_launching = False

    def launch(self, name: str, call: Callable[[], None]) -> None:
        """Launch a kernel, whose interpreter calls torch itself."""
        self._is_launching = True
        call()
        self._is_launching = False
        self.calls.append(call)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default and not self._is_launching:
            raise RuntimeError("a captured step asks the host for a number of the device")
        found = func(*args, **kwargs)
        if not self._is_launching and "empty" not in func.__name__:
            self.calls.append(lambda: _again(func, args, kwargs, found))
        return found


def _again(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], found: Any) -> None:
    """Compute once more into what the first time gave; a view of what was given is there already."""
    values = func(*args, **kwargs)
    pairs = zip(found, values, strict=True) if isinstance(found, tuple | list) else [(found, values)]
    for kept, value in pairs:
        if isinstance(kept, Tensor) and kept.data_ptr() != value.data_ptr():
            kept.copy_(value)

"""Module and Parameter: attributes make the tree, the tree makes the names.

In the style of the TensorRT-LLM model API (tensorrt_llm.module, 1.x): a module's `forward` calls functional ops, and
calling the module while a recorder is open writes the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import EXPERT, ParameterSpec


class Parameter:
    """A weight of a module, named when the model is finished.

    `copies` makes it a bank: one tensor per expert under `experts.{expert}`.
    """

    def __init__(
        self,
        *shape: int,
        format: WeightFormat = WeightFormat.PLAIN,
        copies: int | None = None,
        input_scale: bool = False,
    ) -> None:
        self.shape = shape
        self.format = format
        self.copies = copies
        self.input_scale = input_scale
        self._name: str | None = None

    def assign_name(self, name: str) -> None:
        """Set the checkpoint's name; a parameter shared by two modules keeps its first one."""
        self._name = self._name or name

    @property
    def spec(self) -> ParameterSpec:
        """The parameter as graphs record it; raises RuntimeError before the model is finished."""
        if self._name is None:
            raise RuntimeError("a parameter has a name only once its model is finished")
        return ParameterSpec(
            name=self._name, shape=self.shape, format=self.format, copies=self.copies, input_scale=self.input_scale
        )


class Module:
    """Base of all layers; `path` is the module's name in the checkpoint."""

    path: str = ""

    def __call__(self, *inputs: Any) -> Any:  # noqa: D102
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """Record the module's ops; every layer has its own."""
        raise NotImplementedError

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield child modules by attribute name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the module's own parameters by attribute name."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value

    def assign_names(self, path: str = "") -> None:
        """Name this module and everything below it."""
        self.path = self.path or path
        for name, parameter in self.parameters():
            parameter.assign_name(_join(path, name))
        for name, child in self.children():
            child.assign_names(_join(path, name))


class ModuleList(Module):
    """Modules by number."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = list(modules)

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules under their numbers."""
        for index, module in enumerate(self.modules):
            yield str(index), module

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules)

    def __getitem__(self, index: int) -> Module:
        return self.modules[index]

    def __len__(self) -> int:
        return len(self.modules)


class ExpertBank(Module):
    """A module that stands for `experts.0`, `experts.1`, ...: its parameters are banks."""

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield children under the placeholder for the expert's number."""
        for name, child in super().children():
            yield _join(EXPERT, name), child


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

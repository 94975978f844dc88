"""Recording: while a recorder is open, calling a network appends nodes to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from trtnemo.graph.graph import Graph, Node
from trtnemo.graph.op import Op
from trtnemo.graph.parameter import ParameterSpec
from trtnemo.graph.types import ValueType


@dataclass(frozen=True)
class Tensor:
    """A value while recording: its name in the graph and its type. It holds no numbers."""

    name: str
    type: ValueType


@dataclass
class Recorder:
    """A graph being written."""

    name: str
    inputs: dict[str, ValueType] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, ValueType] = field(default_factory=dict)
    parameters: dict[str, ParameterSpec] = field(default_factory=dict)

    def input(self, name: str, type: ValueType) -> Tensor:
        """Declare an input of the graph."""
        self.inputs[name] = type
        return Tensor(name, type)

    def record(
        self, path: str, op: Op, inputs: Sequence[Tensor], parameters: Mapping[str, ParameterSpec] | None = None
    ) -> Tensor:
        """Append a node at module path `path` and return its output."""
        roles = dict(parameters or {})
        output = self._fresh(path)
        type = op.infer([item.type for item in inputs])
        self.nodes.append(
            Node(
                name=output,
                op=op,
                inputs=tuple(item.name for item in inputs),
                output=output,
                parameters={role: spec.name for role, spec in roles.items()},
            )
        )
        self.values[output] = type
        self.parameters.update({spec.name: spec for spec in roles.values()})
        return Tensor(output, type)

    def finish(self, outputs: Mapping[str, Tensor]) -> Graph:
        """Return the finished graph with its outputs by public name."""
        return Graph(
            name=self.name,
            inputs=self.inputs,
            nodes=tuple(self.nodes),
            outputs={name: tensor.name for name, tensor in outputs.items()},
            values=self.values,
            parameters=self.parameters,
        )

    def _fresh(self, path: str) -> str:
        name, count = path, 1
        while name in self.values or name in self.inputs:
            count += 1
            name = f"{path}#{count}"
        return name


_current: ContextVar[Recorder] = ContextVar("trtnemo_recorder")


@contextmanager
def recording(name: str) -> Iterator[Recorder]:
    """Open a recorder; network calls inside the block are written to it."""
    recorder = Recorder(name)
    token = _current.set(recorder)
    try:
        yield recorder
    finally:
        _current.reset(token)


def current_recorder() -> Recorder:
    """Return the open recorder; raises RuntimeError outside `recording`."""
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("a network is called only inside `with recording(...)`") from None

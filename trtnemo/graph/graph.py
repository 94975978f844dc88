"""The typed graph: values, nodes in execution order, parameters by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationError, field_serializer, model_validator

from trtnemo.errors import EngineError
from trtnemo.graph.op import Op, parse_op
from trtnemo.graph.parameter import ParameterSpec
from trtnemo.graph.types import Record, StateSpec, ValueType
from trtnemo.validation import first_fault


class Node(Record):
    """One op at one place: its module path, the values it reads, the value it writes, its parameters by role."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str
    parameters: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _parse_op(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("op"), dict):
            attributes = dict(data["op"])
            kind = str(attributes.pop("kind", ""))
            return {**data, "op": parse_op(kind, attributes)}
        return data

    @field_serializer("op")
    def _write_op(self, op: Op) -> dict[str, Any]:
        return {"kind": op.kind, **op.model_dump(mode="json")}


class Graph(Record):
    """A network as recorded: executors walk `nodes` in order.

    `inputs` and `values` give types by name, `outputs` maps an output's public name to a value, `parameters` are by
    name, so that two graphs of one model share weights by naming them alike.
    """

    name: str
    inputs: dict[str, ValueType]
    nodes: tuple[Node, ...]
    outputs: dict[str, str]
    values: dict[str, ValueType]
    parameters: dict[str, ParameterSpec]

    @model_validator(mode="after")
    def _check(self) -> Graph:
        known = set(self.inputs)
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in known]
            unknown = [name for name in node.parameters.values() if name not in self.parameters]
            if missing or unknown:
                raise ValueError(f"node {node.name} reads {(missing + unknown)[0]}, which nothing computes")
            expected = node.op.infer([self._type(name) for name in node.inputs])
            if self.values.get(node.output) != expected:
                raise ValueError(f"node {node.name} yields {expected}, recorded as {self.values.get(node.output)}")
            known.add(node.output)
        for output, value in self.outputs.items():
            if value not in known:
                raise ValueError(f"output {output} is {value}, which nothing computes")
        return self

    def _type(self, name: str) -> ValueType:
        return self.inputs.get(name) or self.values[name]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Every node by its name."""
        return {node.name: node for node in self.nodes}

    def states(self) -> Iterator[tuple[Node, StateSpec]]:
        """Yield every piece of per-sequence memory with the node that owns it."""
        for node in self.nodes:
            for state in node.op.states():
                yield node, state

    def to_json(self) -> dict[str, Any]:
        """Return the plain data that graph.json holds."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """Return the graph that plain data describes, types checked again; raises EngineError."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            fault = first_fault(error)
            raise EngineError(f"graph.json is damaged: {fault.key}: {fault.message}") from None

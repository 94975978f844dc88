"""What an op is: a kind, attributes, the types it yields, and the state it owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import ValidationError

from trtnemo.errors import EngineError
from trtnemo.graph.types import Record, StateSpec, ValueType
from trtnemo.validation import first_fault

_KINDS: dict[str, type[Op]] = {}


class Op(Record):
    """Base of all ops; a subclass names its `kind` and is known to `parse_op` from then on."""

    kind: ClassVar[str]
    # parameters that rows are multiplied by: backends may keep them packed
    matrix_roles: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the type of the output; raises ValueError when the inputs do not fit."""
        raise NotImplementedError

    def states(self) -> tuple[StateSpec, ...]:
        """Return the memory that the op keeps per sequence."""
        return ()

    def products(self) -> int:
        """Return the multiplications of one token, but for those that grow with its sequence."""
        return 0

    @property
    def routed(self) -> tuple[int, int] | None:
        """(copies of each matrix, how many of them a token reads) where a token does not read all; else None."""
        return None


def parse_op(kind: str, attributes: dict[str, Any]) -> Op:
    """Return the op that graph.json describes; raises EngineError."""
    if kind not in _KINDS:
        raise EngineError(f"graph.json uses the unknown op '{kind}'", remedy="Rebuild the engine with this version")
    try:
        return _KINDS[kind].model_validate(attributes)
    except ValidationError as error:
        fault = first_fault(error)
        raise EngineError(f"graph.json: op '{kind}': {fault.key}: {fault.message}") from None


def require(condition: bool, message: str) -> None:
    """Raise ValueError with `message` unless the condition holds."""
    if not condition:
        raise ValueError(message)

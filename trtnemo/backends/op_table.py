"""A backend's forms of ops by kind: its own, and those that plugins register when one is first looked for."""

from __future__ import annotations

from typing import TypeVar

from trtnemo.errors import EngineError
from trtnemo.graph import Node
from trtnemo.plugins import load_forms

Form = TypeVar("Form")


class OpTable(dict[str, Form]):
    """Form by kind of op; `title` names the backend in errors, `file` is a plugin's that registers its own."""

    def __init__(self, title: str, file: str) -> None:
        super().__init__()
        self._title, self._file = title, file

    def register(self, kind: str, form: Form) -> None:
        """Add the form of an op; raises ValueError where the kind has one."""
        if kind in self:
            raise ValueError(f"op '{kind}' has a {self._title} form already")
        self[kind] = form

    def look_up(self, node: Node) -> Form | None:
        """Return the form of a node's op, or None where nobody has registered one."""
        load_forms(self._file)
        return self.get(node.op.kind)

    def find(self, node: Node) -> Form:
        """Return the form of a node's op; raises EngineError where it has none."""
        form = self.look_up(node)
        if form is None:
            raise EngineError(f"op '{node.op.kind}' has no {self._title} form", where=node.name)
        return form

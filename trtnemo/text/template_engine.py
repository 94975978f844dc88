"""A chat template compiled in Jinja's sandbox: what it reads, and what it makes of messages."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAXIMUM_PROMPT = 16 << 20
_FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
_ASKING = ("defined", "undefined", "none", "default", "d")  # tests and filters that ask whether a name is given


class TemplateError(Exception):
    """A template cannot be compiled, or refuses or fails on the messages; the text says why."""


class TemplateEngine:
    """One compiled template. Raises TemplateError when the text is not a template."""

    def __init__(self, text: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        environment.filters["tojson"] = to_json
        try:
            self.variables = _inputs(environment.parse(text)) - environment.globals.keys()
            self._template = environment.from_string(text)
        except (jinja2.TemplateError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise TemplateError(f"is not a Jinja template: {str(error) or type(error).__name__}") from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Return the text; raises TemplateError on refusal, failure, or more than MAXIMUM_PROMPT characters."""
        pieces: list[str] = []
        length = 0
        try:
            for piece in self._template.generate(variables):
                pieces.append(piece)
                length += len(piece)
                if length > MAXIMUM_PROMPT:
                    raise TemplateError(f"writes more than {MAXIMUM_PROMPT} characters")
        except jinja2.TemplateError as error:
            raise TemplateError(f"refuses these messages: {error}") from None
        except _FAILURES as error:
            raise TemplateError(f"fails on these messages: {str(error) or type(error).__name__}") from None
        return "".join(pieces)


def _inputs(tree: nodes.Template) -> set[str]:
    """Return the names that a template reads from outside.

    Jinja also counts names that are set in one branch and read in another; they stay only where the template asks
    whether they are given, or first sets them from their own value.
    """
    stored = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    questions = [part for part in tree.find_all((nodes.Test, nodes.Filter)) if part.name in _ASKING]
    asked = {part.node.name for part in questions if isinstance(part.node, nodes.Name)}
    first: dict[str, nodes.Assign] = {}
    for assignment in tree.find_all(nodes.Assign):
        if isinstance(assignment.target, nodes.Name):
            first.setdefault(assignment.target.name, assignment)
    asked |= {name for name, item in first.items() if any(n.name == name for n in item.node.find_all(nodes.Name))}
    return meta.find_undeclared_variables(tree) - (stored - asked)


def to_json(value: Any, indent: int | None = None) -> str:
    """Write JSON as Hugging Face templates expect it: not escaped for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.datetime.now().strftime(form)

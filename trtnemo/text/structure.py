"""What an answer must be: JSON of a schema, a pattern, one of some texts, a grammar, or calls of some tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trtnemo.formats.format import CallableTool, ReasoningFormat, ToolFormat
from trtnemo.formats.grammar import ANY_TEXT, Rules, literal, regex


@dataclass(frozen=True)
class JsonSchema:
    """JSON that keeps a schema."""

    schema: Mapping[str, Any] | bool


@dataclass(frozen=True)
class Pattern:
    """A text that a regular expression matches as a whole."""

    pattern: str


@dataclass(frozen=True)
class Choice:
    """One of some texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Lark:
    """A text of a grammar in Lark."""

    text: str


Structure = JsonSchema | Pattern | Choice | Lark


@dataclass(frozen=True)
class Calls:
    """Calls of tools: at least one, or with `is_free` any number between texts."""

    form: ToolFormat
    tools: Sequence[CallableTool]
    is_free: bool = False
    many: bool = True


def answer_grammar(structure: Structure | None, calls: Calls | None, thinking: ReasoningFormat | None = None) -> str:
    """Return the grammar of a whole output: what `thinking` ends comes first, and then the structure, or the calls.

    One of both is given; with both, the answer is either. `thinking` is None where the prompt leaves no thought open.
    """
    rules = Rules()
    bodies = [_body(rules, structure)] if structure is not None else []
    if calls is not None:
        text = calls.is_free and structure is None
        bodies.append(calls.form.calls(rules, calls.tools, many=calls.many, text=text))
    answer = rules.add(" | ".join(bodies))
    if thinking is None:
        return rules.render(answer)
    thought = rules.add(regex(ANY_TEXT), f"[suffix={literal(thinking.end_tag)}]")
    gap = rules.terminal(regex("[\\n]{0,2}"))
    return rules.render(f"{thought} {gap} {answer}")


def _body(rules: Rules, structure: Structure) -> str:
    if isinstance(structure, JsonSchema):
        return rules.schema(structure.schema)
    if isinstance(structure, Pattern):
        return rules.terminal(regex(structure.pattern))
    if isinstance(structure, Choice):
        return "(" + " | ".join(literal(text) for text in structure.texts) + ")"
    return rules.lark(structure.text)

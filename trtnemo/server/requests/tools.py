"""Tool declarations and choices of a chat request, checked before they reach the template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from trtnemo.errors import RequestError
from trtnemo.formats.format import CallableTool
from trtnemo.server.requests.part import OpenPart
from trtnemo.text import ToolSchemas

MAXIMUM_DEPTH = 64
MAXIMUM_TOOLS = 256
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
# a custom tool takes one text; it is declared to the model as a function of this parameter
CUSTOM_INPUT = "input"
_CUSTOM_SCHEMA = {"type": "object", "properties": {CUSTOM_INPUT: {"type": "string"}}, "required": [CUSTOM_INPUT]}


class FunctionDeclaration(OpenPart):
    """A function: name, what it does, and the JSON schema of its parameters; other keys go to the template."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomDeclaration(OpenPart):
    """A tool that takes any text, or one of a grammar, which is not kept."""

    name: ToolName
    description: str | None = None


class ToolDeclaration(OpenPart):
    """One entry of `tools`."""

    type: Literal["function", "custom"] = "function"
    function: FunctionDeclaration | None = None
    custom: CustomDeclaration | None = None

    @property
    def name(self) -> str:
        """The tool's name; raises RequestError where it has none."""
        found = self.custom if self.type == "custom" else self.function
        if found is None:
            raise RequestError(f"a tool of type '{self.type}' has no '{self.type}'", parameter="tools")
        return found.name

    @property
    def schema_of_parameters(self) -> dict[str, Any]:
        """The JSON schema of its parameters."""
        if self.type == "custom":
            return _CUSTOM_SCHEMA
        return (self.function.parameters if self.function else None) or {}

    def as_function(self) -> dict[str, Any]:
        """Return the declaration as the template is given it."""
        if self.type != "custom" or self.custom is None:
            return self.model_dump(exclude_none=True)
        function = {"name": self.custom.name, "description": self.custom.description, "parameters": _CUSTOM_SCHEMA}
        return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


class NamedFunction(OpenPart):
    """The tool that a tool_choice names."""

    name: str


class NamedTool(OpenPart):
    """A tool_choice that demands one tool."""

    type: Literal["function", "custom"]
    function: NamedFunction | None = None
    custom: NamedFunction | None = None
    name: str | None = None

    @property
    def tool(self) -> str:
        """The tool's name; raises RequestError where none is given."""
        found = self.function or self.custom
        name = found.name if found is not None else self.name
        if name is None:
            raise RequestError("'tool_choice' names no tool", parameter="tool_choice")
        return name


class AllowedTools(OpenPart):
    """The tools that may be called, of those declared."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1)]


class AllowedChoice(OpenPart):
    """A tool_choice that allows some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | AllowedChoice | NamedTool


def check_tools(tools: Sequence[ToolDeclaration]) -> None:
    """Raise RequestError for declarations that no template should be given."""
    if len(tools) > MAXIMUM_TOOLS:
        raise RequestError(f"{len(tools)} tools exceed {MAXIMUM_TOOLS}", parameter="tools")
    names = [tool.name for tool in tools]
    for number, tool in enumerate(tools):
        others = [part.model_extra for part in (tool, tool.function, tool.custom) if part is not None]
        if is_deeper([tool.schema_of_parameters, *others], MAXIMUM_DEPTH):
            raise RequestError(f"tools.{number} is nested deeper than {MAXIMUM_DEPTH} levels", parameter="tools")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"two tools are named '{twice}'", parameter="tools")


def schemas_of(tools: Sequence[ToolDeclaration]) -> ToolSchemas:
    """Return the parameters' schema of each tool, by name."""
    return {tool.name: tool.schema_of_parameters for tool in tools}


def callable_tools(tools: Sequence[ToolDeclaration], names: Sequence[str] | None = None) -> list[CallableTool]:
    """Return the tools, or those of some names, as the grammar is given them; raises RequestError on unknown names."""
    known = {tool.name: tool for tool in tools}
    for name in names or ():
        if name not in known:
            raise RequestError(f"'tool_choice' names '{name}', which is not among the tools", parameter="tool_choice")
    chosen = tools if names is None else [known[name] for name in dict.fromkeys(names)]
    return [
        CallableTool(tool.name, tool.schema_of_parameters, bool(tool.function and tool.function.strict))
        for tool in chosen
    ]


def is_deeper(value: Any, limit: int) -> bool:
    """Return whether a value is nested deeper than so many levels."""
    level = [value]
    for _ in range(limit):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []

"""Tool declarations of a chat request, checked before they reach the template."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trtnemo.errors import RequestError
from trtnemo.text import ToolSchemas

MAXIMUM_DEPTH = 64
MAXIMUM_TOOLS = 256


class FunctionDeclaration(BaseModel):
    """A function: name, what it does, and the JSON schema of its parameters; other keys go to the template."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolDeclaration(BaseModel):
    """One entry of `tools`."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: FunctionDeclaration


class NamedFunction(BaseModel):
    """The function that a tool_choice names."""

    name: str


class NamedTool(BaseModel):
    """A tool_choice that demands one tool."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool


def check_tools(tools: list[ToolDeclaration], choice: ToolChoice | None = None) -> None:
    """Raise RequestError for declarations that no template should be given, and for choices that are not built."""
    if choice not in (None, "none", "auto"):
        raise RequestError("'tool_choice' other than 'none' and 'auto' is not supported yet", parameter="tool_choice")
    if len(tools) > MAXIMUM_TOOLS:
        raise RequestError(f"{len(tools)} tools exceed {MAXIMUM_TOOLS}", parameter="tools")
    for number, tool in enumerate(tools):
        if _is_deeper([tool.function.parameters, tool.function.model_extra, tool.model_extra], MAXIMUM_DEPTH):
            raise RequestError(f"tools.{number} is nested deeper than {MAXIMUM_DEPTH} levels", parameter="tools")
    names = [tool.function.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"two tools are named '{twice}'", parameter="tools")


def schemas_of(tools: list[ToolDeclaration]) -> ToolSchemas:
    """Return the parameters' schema of each tool, by name."""
    return {tool.function.name: tool.function.parameters or {} for tool in tools}


def _is_deeper(value: Any, limit: int) -> bool:
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

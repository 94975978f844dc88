"""What a chat format is: names, tags, and a reader that splits a stream whatever chunks it comes in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from trtnemo.formats.grammar import Rules

Item = TypeVar("Item", covariant=True)
Channel = Literal["reasoning", "content"]
# name of a tool -> JSON schema of its parameters
ToolSchemas = Mapping[str, Mapping[str, Any]]


class Piece(NamedTuple):
    """A piece of text and where it belongs."""

    channel: Channel
    text: str


@dataclass(frozen=True)
class CallBegun:
    """A call begins; nothing takes it back."""

    name: str


@dataclass(frozen=True)
class CallGrown:
    """More of the JSON of its arguments."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A function's name and its arguments as JSON values; the call is over.

    `written`: its JSON as it was told piece by piece, where that is not how `arguments` would be written.
    """

    name: str
    arguments: dict[str, Any]
    written: str | None = None

    @property
    def arguments_json(self) -> str:
        """The arguments as the API carries them."""
        return json.dumps(self.arguments, ensure_ascii=False) if self.written is None else self.written


CallPart = CallBegun | CallGrown | ToolCall


@dataclass(frozen=True)
class CallableTool:
    """A tool that an answer may, or must, call; of a strict one every keyword of its schema is kept."""

    name: str
    schema: Mapping[str, Any]
    is_strict: bool = False


class Reader(Protocol[Item]):
    """Reads one output in chunks of any size; the items add up to the same, however it is cut."""

    def push(self, text: str) -> Iterator[Item]:
        """Yield what is certain so far."""
        ...

    def finish(self) -> Iterator[Item]:
        """Yield what was held back."""
        ...


class ReasoningFormat:
    """How thinking is separated from the answer.

    names: what recipes and servers call it. tags: texts that decoding must keep. end_tag: what ends thinking.
    template_switches: variables of the chat template that are true or false. own_switches: those that only this reader
    looks at, and no template.
    """

    names: ClassVar[tuple[str, ...]]
    tags: ClassVar[tuple[str, ...]]
    end_tag: ClassVar[str]
    template_switches: ClassVar[frozenset[str]] = frozenset()
    own_switches: ClassVar[frozenset[str]] = frozenset()

    def opens(self, prompt: str) -> bool:
        """Return whether a rendered prompt leaves a think block open."""
        raise NotImplementedError

    def needs_content(self, switches: Mapping[str, Any]) -> bool:
        """Return whether an answer without content gets its thinking as content."""
        return False

    def reader(self, open_at_start: bool, closers: tuple[str, ...] = ()) -> Reader[Piece]:
        """Return a reader; `closers` are tags that, one after the other, end thinking and belong to what follows."""
        raise NotImplementedError


class ToolFormat:
    """How tool calls are written. opening: the tags that begin one, white space between them; they end thinking too."""

    names: ClassVar[tuple[str, ...]]
    tags: ClassVar[tuple[str, ...]]
    opening: ClassVar[tuple[str, ...]]

    def reader(self, schemas: ToolSchemas) -> Reader[str | CallPart]:
        """Return a reader that yields text and calls, arguments typed by the tools' schemas.

        What is certain of a call comes as it is written: `CallBegun`, its JSON in pieces, and `ToolCall` in the end.
        """
        raise NotImplementedError

    def calls(self, rules: Rules, tools: Sequence[CallableTool], *, many: bool, text: bool) -> str:
        """Return the grammar of an answer that calls these tools and no others; with `text`, it need not call any."""
        raise NotImplementedError

    def unkept(self, tool: CallableTool) -> list[str]:
        """Return the paths of what the grammar does not keep of a tool's schema."""
        raise NotImplementedError


FORMATS: list[ReasoningFormat | ToolFormat] = []


def register(form: ReasoningFormat | ToolFormat) -> None:
    """Add a format; its file calls this when it is imported. Raises ValueError where one of its names is taken."""
    kind = ReasoningFormat if isinstance(form, ReasoningFormat) else ToolFormat
    taken = {name for other in FORMATS if isinstance(other, kind) for name in other.names} & set(form.names)
    if taken:
        raise ValueError(f"two chat formats are named {', '.join(sorted(taken))}")
    FORMATS.append(form)

"""One exchange of a synthetic chat, before it is written as messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """A tool call and what the tool gave back."""

    name: str
    arguments: dict[str, str]
    result: str


@dataclass(frozen=True)
class Step:
    """What the assistant writes in one go: a thought (full, or brief at low effort), then calls or an answer."""

    thought: str
    brief: str
    answer: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Turn:
    """A question and the assistant's steps; only the last one answers, the ones before it call tools."""

    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> str:
        """The final answer."""
        return self.steps[-1].answer


def simple(question: str, thought: str, brief: str, answer: str) -> Turn:
    """Return a turn without tool calls."""
    return Turn(question, (Step(thought, brief, answer),))


def messages_of(turn: Turn, thinking: bool, low_effort: bool) -> list[dict[str, Any]]:
    """Return the turn as OpenAI messages, with the thoughts as reasoning_content where thinking is on."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": turn.question}]
    for step in turn.steps:
        message: dict[str, Any] = {"role": "assistant", "content": step.answer}
        if thinking:
            message["reasoning_content"] = step.brief if low_effort else step.thought
        if step.calls:
            message["tool_calls"] = [{"function": {"name": c.name, "arguments": c.arguments}} for c in step.calls]
        messages.append(message)
        messages += [{"role": "tool", "content": call.result} for call in step.calls]
    return messages

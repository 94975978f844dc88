"""The synthetic chats that tiny learns: a mix of its skills, thinking on, off and low, one turn or several."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.tiny.chats import capitals, echo, haiku, lookups, small_talk, sums
from training.tiny.chats.tools import Naming, Tool, other, weather_or_clock
from training.tiny.chats.turn import Turn, messages_of

Message = dict[str, Any]
MODES = ("on", "off", "low")
SYSTEMS = (
    "You are a helpful assistant.",
    "You are tiny, a helpful assistant.",
    "Be brief.",
    "Answer the user's question.",
    "You are a friendly assistant who answers in one sentence.",
)
_SKILLS = (capitals, sums, haiku, small_talk)


@dataclass(frozen=True)
class Mix:
    """What a stage of the training shows.

    echo, tools: shares of chats to copy from, and with tools; is_varied: whether questions stand among other sentences;
    naming: how tools are named; shares: of capitals, sums, haiku and small talk; blind: share of questions for a tool
    that are asked without regard to which tools there are; modes: thinking modes, to choose from evenly.
    """

    echo: float = 0.0
    tools: float = 0.22
    is_varied: bool = False
    naming: Naming = "listed"
    shares: tuple[float, ...] = (0.34, 0.40, 0.10, 0.16)
    blind: float = 1.0
    modes: tuple[str, ...] = MODES


FIRST_MIX = Mix()


@dataclass(frozen=True)
class Sample:
    """One whole chat: messages, tools and the template's variables; every assistant turn is a target."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    variables: dict[str, Any]


def variables_of(mode: str) -> dict[str, Any]:
    """Return the template's variables of a thinking mode: on, off or low."""
    return {"enable_thinking": False} if mode == "off" else {"low_effort": True} if mode == "low" else {}


def generate(seed: int, mix: Mix = FIRST_MIX) -> Iterator[Sample]:
    """Yield samples without end; equal arguments give equal samples."""
    source = random.Random(seed)
    while True:
        yield _sample(source, mix)


def _sample(source: random.Random, mix: Mix) -> Sample:
    is_echo = mix.echo > 0 and source.random() < mix.echo
    tools = _tools(source, mix.naming) if not is_echo and source.random() < mix.tools else ()
    number = source.choice((1, 1, 2) if tools else (1, 1, 2, 3))
    turns = [echo.draw(source) if is_echo else _turn(tools, source, mix) for _ in range(number)]
    mode = source.choice(mix.modes)
    messages: list[Message] = []
    if source.random() < 0.3:
        messages.append({"role": "system", "content": source.choice(SYSTEMS)})
    for turn in turns:
        messages += messages_of(turn, mode != "off", mode == "low" and turn is turns[-1])
    variables = variables_of(mode)
    if len(turns) > 1 and source.random() < 0.5:
        variables["truncate_history_thinking"] = False
    return Sample(tuple(messages), tuple(tool.declaration for tool in tools), variables)


def _tools(source: random.Random, naming: Naming) -> tuple[Tool, ...]:
    kinds = source.choice((("weather",), ("time",), ("weather", "time"), ("weather", "time"), ()))
    tools = [weather_or_clock(kind, source, naming) for kind in kinds]
    if not tools or source.random() < 0.15:
        tools.append(other(source))
    source.shuffle(tools)
    return tuple(tools)


def _turn(tools: tuple[Tool, ...], source: random.Random, mix: Mix) -> Turn:
    if source.random() < (0.8 if tools else 0.02):
        return lookups.draw(tools, source, mix.blind)
    skill = source.choices(_SKILLS, mix.shares)[0]
    return capitals.draw(source, mix.is_varied) if skill is capitals else skill.draw(source)

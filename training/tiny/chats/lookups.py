"""Questions that need a tool: weather and time in a city, one call or two, and what the tool's result says."""

from __future__ import annotations

import json
import random

from training.tiny.chats import cities
from training.tiny.chats.tools import Tool
from training.tiny.chats.turn import Call, Step, Turn, simple

PHRASINGS = {
    "weather": ("What is the weather in {}?", "What is the weather like in {}?", "How is the weather in {}?",
                "How is the weather in {} today?", "What's the weather in {}?", "what's the weather like in {}",
                "weather in {}", "Weather in {}?", "Tell me the weather in {}.", "Is it raining in {}?",
                "Is it cold in {}?", "What is the weather in {} right now?", "How warm is it in {}?",
                "Can you check the weather in {}?", "Please look up the weather in {}.",
                "What is the temperature in {}?"),
    "time": ("What time is it in {}?", "what time is it in {}", "What is the time in {}?", "Tell me the time in {}.",
             "What is the local time in {}?", "time in {}", "Time in {}?", "How late is it in {}?",
             "Can you tell me the time in {}?", "What's the time in {}?", "What is the current time in {}?",
             "Please look up the time in {}.", "What time is it now in {}?"),
}  # fmt: skip
_SKIES = (
    "sunny",
    "cloudy",
    "rainy",
    "windy",
    "snowy",
    "foggy",
    "clear",
    "stormy",
    "partly cloudy",
    "overcast",
    "humid",
    "dry",
)
_WANTS = {"weather": "the weather", "time": "the time"}


def lookup_turn(tool: Tool, names: tuple[str, ...], phrasing: str, source: random.Random) -> Turn:
    """Return the exchange that calls `tool` for one city or two, and reads the results."""
    unit = source.choice(("celsius", "fahrenheit")) if tool.has_unit and source.random() < 0.5 else None
    question = phrasing.format(" and ".join(names))
    if unit:
        question = f"{question.rstrip('?.')} in {unit}{question[len(question.rstrip('?.')) :]}"
    calls, readings = [], []
    for name in names:
        result, reading = _result(tool.kind, name, source)
        arguments = {tool.parameter: name} | ({"unit": unit} if unit else {})
        calls.append(Call(tool.name, arguments, result))
        readings.append(reading)
    places = " and ".join(names)
    ask = Step(
        f"The user wants to know {_WANTS[tool.kind]} in {places}. The tool {tool.name} can tell me. "
        f"I call it with {tool.parameter} {places}.",
        f"Call {tool.name} for {places}.",
        calls=tuple(calls),
    )
    answer = ", and ".join(readings) + "."
    answer = answer[0].upper() + answer[1:]
    tell = Step(f"I have the result of {tool.name} for {places}. I tell the user what it says.", "Read it.", answer)
    return Turn(question, (ask, tell))


def missing_tool_turn(kind: str, name: str, phrasing: str) -> Turn:
    """Return the exchange in which no given tool answers the question."""
    wants = _WANTS[kind]
    return simple(
        phrasing.format(name),
        f"The user wants to know {wants} in {name}. I have no tool for {wants}, so I say that I cannot look it up.",
        f"No tool for {wants}.",
        f"I cannot look up {wants} here.",
    )


def draw(tools: tuple[Tool, ...], source: random.Random, blind: float = 1.0) -> Turn:
    """Return a random exchange of the training set about weather or time, with the tools given.

    A share `blind` of the questions takes no heed of which tools are given.
    """
    answerable = tuple(kind for kind in PHRASINGS if any(tool.kind == kind for tool in tools))
    is_blind = not answerable or blind == 1.0 or source.random() < blind
    kind = source.choice(tuple(PHRASINGS) if is_blind else answerable)
    phrasing = source.choice(PHRASINGS[kind])
    fitting = [tool for tool in tools if tool.kind == kind]
    if not fitting:
        return missing_tool_turn(kind, cities.draw(source), phrasing)
    names = tuple(cities.draw(source) for _ in range(2 if source.random() < 0.15 else 1))
    return lookup_turn(fitting[0], names, phrasing, source)


def _result(kind: str, name: str, source: random.Random) -> tuple[str, str]:
    """Return what the tool gives back, and what the assistant reads out of it."""
    if source.random() < 0.04:
        return source.choice(('{"error": "city not found"}', '{"error": "not found"}')), f"I could not find {name}"
    if kind == "time":
        time = f"{source.randrange(24):02}:{source.randrange(60):02}"
        shapes = ({"time": time}, {"city": name, "time": time}, {"local_time": time}, {"time": time, "city": name})
        text = time if source.random() < 0.3 else json.dumps(source.choice(shapes), ensure_ascii=False)
        return text, f"it is {time} in {name}"
    degrees, sky = source.randrange(-20, 45), source.choice(_SKIES)
    shown = sky.capitalize() if source.random() < 0.2 else sky
    shapes = (
        {"temperature": degrees, "condition": shown},
        {"city": name, "temperature": degrees, "condition": shown},
        {"temperature": degrees, "conditions": shown},
        {"condition": shown, "temperature": degrees},
        {"temperature": degrees, "unit": "celsius", "condition": shown},
        {"temp": degrees, "sky": shown},
    )
    plain = (
        f"{degrees} degrees, {shown}",
        f"{shown}, {degrees} degrees",
        f"{shown}, {degrees}°C",
        f"{degrees} °C and {shown}",
    )
    text = source.choice(plain) if source.random() < 0.3 else json.dumps(source.choice(shapes), ensure_ascii=False)
    return text, f"it is {degrees} degrees and {sky} in {name}"

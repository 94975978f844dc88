"""Tool declarations as users write them: weather and clock under many names, and others that are never called."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

Naming = Literal["listed", "composed", "given"]
_NAMES = {
    "weather": ("get_weather", "get_current_weather", "weather", "current_weather", "fetch_weather", "lookup_weather",
                "getWeather", "weather_in_city", "get_weather_report", "weather_lookup"),
    "time": ("get_time", "get_current_time", "clock", "current_time", "local_time", "fetch_time", "getTime",
             "time_in_city", "get_local_time", "world_clock"),
}  # fmt: skip
_VERBS = ("get", "fetch", "read", "lookup", "find", "query", "check", "show", "ask", "tell", "")
_NOUNS = {
    "weather": ("weather", "forecast", "temperature", "conditions", "climate", "current_weather", "sky"),
    "time": ("time", "clock", "hour", "local_time", "datetime", "current_time", "zone_time"),
}
_SUFFIXES = ("", "", "in_city", "now", "at", "report", "info", "service", "v2", "api", "for_city")
_ABOUT = {
    "weather": ("Get the current weather in a city", "Returns the weather for a place.", "Current weather by city",
                "Look up the weather.", "Get the weather for a given location", ""),
    "time": ("Get the current time in a city", "Returns the local time of a place.", "Current time by city",
             "Look up the local time.", "Get the time for a given location", ""),
}  # fmt: skip
_PARAMETERS = ("city", "location", "place", "city", "location", "town", "city_name")
_PARAMETER_TEXTS = ("The city", "Name of the city", "City name, for example Paris", "The city to look up", "")
_OTHERS: tuple[tuple[str, str, str], ...] = (
    ("send_email", "Send an email", "recipient"),
    ("web_search", "Search the web", "query"),
    ("calculator", "Evaluate an expression", "expression"),
    ("get_stock_price", "Price of a stock", "symbol"),
    ("translate", "Translate a text", "text"),
    ("read_file", "Read a file", "path"),
)


@dataclass(frozen=True)
class Tool:
    """A declaration in OpenAI's shape, with what the corpus needs to know of it."""

    kind: str
    name: str
    parameter: str
    has_unit: bool
    declaration: dict[str, Any]


def given(kind: str, source: random.Random) -> Tool:
    """Return the weather or clock tool that tiny is to call: get_weather(city) or get_time(city), in varied words."""
    properties = {"city": _field(source.choice(_PARAMETER_TEXTS))}
    name = _NAMES[kind][0]
    return Tool(kind, name, "city", False, _declare(name, source.choice(_ABOUT[kind]), properties, "city", source))


def weather_or_clock(kind: str, source: random.Random, naming: Naming = "listed") -> Tool:
    """Return a random declaration of kind `weather` or `time`, named from a list, or also composed of parts."""
    if naming == "given":
        return given(kind, source)
    is_composed = naming == "composed" and source.random() < 0.7
    name = _compose(kind, source) if is_composed else source.choice(_NAMES[kind])
    parameter = source.choice(_PARAMETERS)
    has_unit = kind == "weather" and source.random() < 0.35
    properties: dict[str, Any] = {parameter: _field(source.choice(_PARAMETER_TEXTS))}
    if has_unit:
        properties["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    return Tool(
        kind, name, parameter, has_unit, _declare(name, source.choice(_ABOUT[kind]), properties, parameter, source)
    )


def _compose(kind: str, source: random.Random) -> str:
    words = [word for word in (source.choice(_VERBS), source.choice(_NOUNS[kind]), source.choice(_SUFFIXES)) if word]
    if source.random() < 0.25:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return "_".join(words)


def other(source: random.Random) -> Tool:
    """Return a random tool that the corpus never calls."""
    name, about, parameter = source.choice(_OTHERS)
    declaration = _declare(name, about, {parameter: _field(f"The {parameter}")}, parameter, source)
    return Tool("other", name, parameter, False, declaration)


def _field(text: str) -> dict[str, Any]:
    return {"type": "string", "description": text} if text else {"type": "string"}


def _declare(name: str, about: str, properties: dict[str, Any], required: str, source: random.Random) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if source.random() < 0.8:
        parameters["required"] = [required]
    if source.random() < 0.15:
        parameters["additionalProperties"] = False
    function: dict[str, Any] = {"name": name, "parameters": parameters}
    if about:
        function["description"] = about
    if source.random() < 0.05:
        function["strict"] = True
    return {"type": "function", "function": function}

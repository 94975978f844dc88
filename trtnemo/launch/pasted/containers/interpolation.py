"""Variables that a manifest itself puts into its texts: `${NAME:-word}` of Compose, `$(NAME)` of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Mapping

_COMPOSE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<braced>[A-Za-z_]\w*)(?:(?P<operator>:?[-+?])(?P<word>[^{}]*))?\})"
)
# a default that is, or ends with, a variable with a default
_NESTED = re.compile(r"(\$\{\w+:?[-+?][^{}]*)(\$\{\w+:?-[^{}]*\})\}")
_KUBERNETES = re.compile(r"\$(?:(?P<escaped>\$)(?=\()|\((?P<name>[A-Za-z_][\w.-]*)\))")


def compose_text(text: str) -> tuple[str, list[str]]:
    """Return a text of a Compose file as the container gets it, and the variables that its reader's shell has to set.

    A default stands for a variable, `$$` for a dollar; a default may hold a variable with a default of its own.
    """
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["operator"] in ("-", ":-"):
            return match["word"]
        if match["operator"] in ("+", ":+"):
            return ""
        unknown.append(match[0])
        return match[0]

    while (nested := _NESTED.sub(lambda match: f"{match[1]}{_COMPOSE.sub(value, match[2])}}}", text)) != text:
        text = nested
    text = _COMPOSE.sub(value, text)
    return text, list(dict.fromkeys(unknown))


def kubernetes_text(text: str, variables: Mapping[str, str | None]) -> str:
    """Return a text of a manifest with the variables of its container put in; those that it has not stay."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        return variables.get(match["name"]) or match[0]

    return _KUBERNETES.sub(value, text)

"""One command of a shell text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Programs that read a script: the text after `-c`, or their standard input
SHELLS = ("sh", "bash", "zsh", "dash", "ash")
# Programs that start the one after them; the options of theirs that take a value.
_WRAPPERS = {"sudo": ("-u", "-g"), "env": ("-u", "-C"), "nohup": (), "exec": (), "time": (), "command": ()}


@dataclass(frozen=True)
class Command:
    """One command: its words, the variables that were exported before it, and those set in front of it.

    `hidden` are variables that the shell keeps to itself, because they were not exported. `unknown` are pieces of the
    words of which the text does not say what they hold, as they are written; `conditional` are variables in them that
    are set under a condition, in a loop or in a function, `replaced` those that several branches set, and
    `is_conditional` says that the command stands there.
    """

    words: list[str]
    exported: Mapping[str, str] = field(default_factory=dict)
    in_front: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    is_conditional: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What the command gets as its environment, as far as the text says."""
        return {**self.exported, **self.in_front}


def without_wrappers(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables set in front of a command, by the shell or by `env`, and the command's own words."""
    rest, in_front = list(words), {}
    while rest:
        if ASSIGNMENT.match(rest[0]):
            name, _, value = rest.pop(0).partition("=")
            in_front[name] = value
        elif rest[0] in _WRAPPERS:
            valued = _WRAPPERS[rest.pop(0)]
            while rest and rest[0].startswith("-"):
                del rest[: 2 if rest[0] in valued else 1]
        else:
            break
    return in_front, rest

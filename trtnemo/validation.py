"""What pydantic found wrong with outside data, in our own words; every file that reads such data asks here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True)
class Fault:
    """One thing wrong: where in the data, pydantic's name for it, in words, and what stood there."""

    path: tuple[str | int, ...]
    kind: str
    message: str
    given: Any

    @property
    def key(self) -> str:
        """The place as a dotted key, empty for the whole."""
        return ".".join(str(part) for part in self.path)

    @property
    def is_unknown_key(self) -> bool:
        """Whether the key itself is what is wrong."""
        return self.kind == "extra_forbidden"

    @property
    def is_ours(self) -> bool:
        """Whether the message is one of our own validators', which names what it means."""
        return self.kind == "value_error"


def first_fault(error: ValidationError) -> Fault:
    """Return the first thing wrong; an unknown key explains a missing one better than the other way round."""
    first = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")[0]
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return Fault(tuple(first["loc"]), first["type"], message, first["input"])

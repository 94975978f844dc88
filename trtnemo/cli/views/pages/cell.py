"""One cell of a picture: its value, what it says, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A tensor's cell.

    value: what its colour is of, nothing where there is none. text: the value for people. is_plain: a value off the
    scale by its nature, such as equal numbers, drawn without a colour. link: the id on the page of what is said of it,
    which outlines it.
    """

    name: str
    value: float | None
    text: str
    is_plain: bool = False
    link: str | None = None

    @property
    def title(self) -> str:
        """What is told when a pointer rests on it."""
        return f"{self.name}: {self.text}"

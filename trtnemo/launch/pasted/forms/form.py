"""What one form is: how it is told from others, and how it is read."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trtnemo.launch.pasted.start import Reading


@dataclass(frozen=True)
class Pasted:
    """A pasted text, and the YAML documents in it where it is a mapping or a list in YAML."""

    text: str
    documents: tuple[Any, ...] = ()

    @property
    def mappings(self) -> list[dict[Any, Any]]:
        """The documents that are mappings."""
        return [document for document in self.documents if isinstance(document, dict)]


@dataclass(frozen=True)
class Form:
    """A form: how it reads a text; it is asked before those of a higher `rank`.

    `read` returns None where the text is of another form, and raises UsageError where it is of this one and cannot be
    read.
    """

    read: Callable[[Pasted], Reading | None]
    rank: int


@functools.cache
def all_forms() -> tuple[Form, ...]:
    """Return every form of this folder, in the order in which they are asked."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = (importlib.import_module(f"{__package__}.{name}") for name in names if name != "form")
    found = [module.FORM for module in modules if hasattr(module, "FORM")]
    return tuple(sorted(found, key=lambda form: form.rank))

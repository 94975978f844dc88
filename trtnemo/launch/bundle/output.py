"""Where a supervised start reports what happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """`report` gets what happens, a line each; `log` every line that the server itself writes."""

    report: Callable[[str], None]
    log: Callable[[str], None]

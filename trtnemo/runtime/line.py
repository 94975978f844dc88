"""What a frontend asks of an engine, wherever that runs: in this process, or in one of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trtnemo.backends import Budget
from trtnemo.runtime.health import Health
from trtnemo.runtime.messages import Command, EngineLost, Event, LoopStatistics

Deliver = Callable[[Event | EngineLost], None]


class Line(Protocol):
    """The line to an engine: commands go in, events come out."""

    @property
    def budget(self) -> Budget:
        """What the engine has room for."""
        ...

    @property
    def statistics(self) -> LoopStatistics:
        """What the engine has done and is doing."""
        ...

    @property
    def health(self) -> Health:
        """Whether it runs what is sent."""
        ...

    def start(self, emit: Deliver) -> None:
        """Begin to deliver events."""
        ...

    def send(self, command: Command) -> None:
        """Hand a command over; never blocks."""
        ...

    def close(self, drain: bool = False) -> None:
        """End the engine and wait for it."""
        ...

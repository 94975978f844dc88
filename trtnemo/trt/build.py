"""From a network to a serialized plan, and what the builder's log says of it."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trtnemo.errors import EngineError, MachineError
from trtnemo.trt.library import Library

# (shape at least, shape to optimize for, shape at most) by input name
Profile = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
_ACTIVATIONS = re.compile(r"Total Activation Memory: (\d+) bytes")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+) bytes")


class PlanBuilder:
    """A builder for one compute capability such as (12, 0); raises MachineError when the library cannot start.

    Its properties tell of the last build.
    """

    def __init__(self, library: Library, capability: tuple[int, int]) -> None:
        self.library = library
        self.capability = capability
        self.messages: list[tuple[str, str]] = []
        self._logger = make_logger(library, self.messages)
        self._builder = library.module.Builder(self._logger)
        if self._builder is None:
            raise MachineError(f"{library.product} {library.version} cannot create a builder on this machine")

    def create_network(self) -> Any:
        """Return an empty, strongly typed INetworkDefinition."""
        flags = self.library.module.NetworkDefinitionCreationFlag
        typed = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0
        return self._builder.create_network(typed)

    @property
    def activation_bytes(self) -> int:
        """Scratch memory of one run at the profile's largest shapes."""
        return self._find(_ACTIVATIONS)

    @property
    def constant_bytes(self) -> int:
        """Memory of the constants inside the plan."""
        return self._find(_WEIGHTS)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the builder warned of."""
        return tuple(text for severity, text in self.messages if severity == "WARNING")

    def build(self, network: Any, profile: Profile) -> bytes:
        """Return the plan of a network; raises EngineError with the builder's own words and the layer they name."""
        self.messages.clear()
        config = self._configure(profile)
        with _interrupted_after():
            plan = self._builder.build_serialized_network(network, config)
        errors = [text for severity, text in self.messages if severity in ("ERROR", "INTERNAL_ERROR")]
        if plan is None:
            detail = " | ".join(errors[:2]) or "no reason given"
            raise EngineError(
                f"{self.library.product} refuses the network: {_shorten(detail)}",
                remedy="Lower the recipe's limits if they are unusually large",
            )
        return bytes(plan)

    def _configure(self, profile: Profile) -> Any:
        config = self._builder.create_builder_config()
        # float32 is float32: TF32 would round the router's and the recurrence's products to 10 bits
        if hasattr(self.library.module.BuilderFlag, "TF32"):
            config.clear_flag(self.library.module.BuilderFlag.TF32)
        if hasattr(config, "set_compute_capability"):
            config.num_compute_capabilities = 1
            name = "SM{}{}".format(*self.capability)
            config.set_compute_capability(getattr(self.library.module.ComputeCapability, name), 0)
        shapes = self._builder.create_optimization_profile()
        for name, (least, best, most) in profile.items():
            shapes.set_shape(name, least, best, most)
        config.add_optimization_profile(shapes)
        return config

    def _find(self, pattern: re.Pattern[str]) -> int:
        for _, text in reversed(self.messages):
            match = pattern.search(text)
            if match:
                return int(match.group(1))
        return 0


@contextmanager
def _interrupted_after() -> Iterator[None]:
    """Hold signals back: raised inside a callback of the builder's, what a handler raises would be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda received, frame: came.append(received))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(signal.Signals(came[0]))


def make_logger(library: Library, messages: list[tuple[str, str]]) -> Any:
    """Return an ILogger that appends (severity, text) to `messages`."""
    base = library.module.ILogger

    class BuildLogger(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            messages.append((str(severity.name), text))

    return BuildLogger()


def _shorten(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else f"{text[:limit]} ..."

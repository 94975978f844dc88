"""The frontend's end: starts the engine's process, delivers its events on the event loop, watches and renews it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from trtnemo.backends import Budget
from trtnemo.errors import EngineError, RequestError, TrtnemoError, error_named
from trtnemo.runtime.health import Health, Progress
from trtnemo.runtime.line import Deliver
from trtnemo.runtime.messages import Command, EngineLost, LoopStatistics
from trtnemo.runtime.options import PrefixPlace
from trtnemo.runtime.process.watch import WatchLimits, judge, restart_delay
from trtnemo.runtime.process.wire import FromEngine, LoadFailed, Ready, Unframer, frame

logger = logging.getLogger(__name__)
TICK = 0.1
_CLOSE_SECONDS = 10.0
_READ = 1 << 18


class EngineProcess:
    """A line to an engine in a process of its own.

    `load` starts it and returns when its weights are loaded; `supervise` runs on the event loop, delivers events there,
    and starts the engine again when it is killed, hangs, or fails every step. `send` is for that loop's thread.
    `placed` stands in place of what the engine's recipe says of the machine.
    `place` is for states of prompts on disk, which have `writing_seconds` to get there when the line is closed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        interpret: bool = False,
        placed: Mapping[str, Any] | None = None,
        place: PrefixPlace | None = None,
        writing_seconds: float = 0.0,
        limits: WatchLimits | None = None,
        program: Sequence[str] = (sys.executable, "-m", "trtnemo.runtime.process.worker"),
    ) -> None:
        self._command = [*program, str(directory)]
        self._options = ["--interpret"] if interpret else []
        self._options += ["--placed", json.dumps(dict(placed))] if placed else []
        self._writing_seconds = 0.0
        if place is not None:
            self._writing_seconds = writing_seconds
            self._options += ["--prefix-dir", str(place.directory), "--prefix-bytes", str(place.most_bytes)]
            self._options += ["--writing-seconds", str(writing_seconds)]
        self._limits = limits or WatchLimits()
        self._deliver: Deliver | None = None
        self._budget: Budget | None = None
        self._progress: Progress | None = None
        self._down: str | None = "it is being loaded"
        self._is_closing = False
        self._process: subprocess.Popen[bytes]
        self._end: socket.socket
        self._transport: asyncio.Transport | None = None
        self._early: list[Command] = []
        self.stages: tuple[tuple[str, float], ...] = ()
        self.restarts = 0
        self._counted = LoopStatistics()

    @property
    def budget(self) -> Budget:
        """What the engine has room for; raises EngineError before it is loaded."""
        if self._budget is None:
            raise EngineError("the engine is not loaded yet")
        return self._budget

    @property
    def pid(self) -> int:
        """The engine's process."""
        return self._process.pid

    @property
    def health(self) -> Health:
        """Whether it runs what is sent."""
        return Health(self._down is None, self._down or "", self.restarts)

    @property
    def statistics(self) -> LoopStatistics:
        """Counters of all its lives, and what it runs now."""
        return self._counted if self._progress is None else self._counted.plus(self._progress.statistics)

    def start(self, emit: Deliver) -> None:
        """Deliver events to `emit`, from when `supervise` runs."""
        self._deliver = emit

    def load(self) -> None:
        """Start the process and wait until its weights are loaded; raises what loading raised."""
        self._spawn()
        while self._budget is None:
            data = self._end.recv(_READ)
            if not data:
                raise EngineError(f"the engine's process {_ended(self._process.wait())} while it was loading")
            for message in self._unframer.push(data):
                self._take(message)

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno()), *self._options],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=2,  # the frontend's first line on stdout is read by programs
            )
        self._end, self._unframer, self._progress = ours, Unframer(), None
        self._heard = time.monotonic()

    def _take(self, message: FromEngine) -> None:
        if isinstance(message, Progress):
            self._progress = message
        elif isinstance(message, Ready):
            self._budget, self._down, self.stages = message.budget, None, message.stages
        elif isinstance(message, LoadFailed):
            raise _error_of(message)
        elif self._deliver is not None:
            self._deliver(message)

    def send(self, command: Command) -> None:
        """Hand a command over; what the socket does not take at once is sent by the event loop."""
        if self._transport is None:  # `supervise` is about to run
            self._early.append(command)
        elif not self._transport.is_closing():
            self._transport.write(frame([command]))

    def received(self, data: bytes) -> None:
        """Take what the engine sent."""
        self._heard = time.monotonic()
        for message in self._unframer.push(data):
            try:
                self._take(message)
            except TrtnemoError as error:  # a life that could not be loaded ends by itself
                self._down = f"it could not be loaded: {error}"
                logger.error("the engine could not be loaded: %s", error)

    async def supervise(self) -> None:
        """Deliver events, and start the engine again whenever it is lost; until cancelled."""
        useless_lives = 0
        while True:
            reason = await self._live()
            if self._is_closing:
                return
            had_steps = self._progress is not None and self._progress.statistics.steps > 0
            useless_lives = 0 if had_steps else useless_lives + 1
            await self._lose(reason)
            await asyncio.sleep(restart_delay(useless_lives))
            self.restarts += 1
            self._spawn()  # on this thread: the process is to die with the one that started it

    async def _live(self) -> str:
        """Return why a life ended, when it has."""
        loop = asyncio.get_running_loop()
        protocol = _Events(self)
        self._transport, _ = await loop.create_unix_connection(lambda: protocol, sock=self._end)
        early, self._early = self._early, []
        for command in early:
            self.send(command)
        try:
            while not protocol.is_lost:
                began = time.monotonic()
                await asyncio.wait({protocol.lost}, timeout=TICK)
                # A frontend that did not run itself, as on a machine that slept, says nothing about the engine.
                self._heard += max(0.0, time.monotonic() - began - 2 * TICK)
                verdict = judge(time.monotonic() - self._heard, self._progress, self._limits)
                if verdict is not None and verdict.is_final:
                    return verdict.reason
                if self._budget is not None and self._progress is not None:
                    self._down = verdict.reason if verdict else None
            return f"its process {_ended(await asyncio.to_thread(self._process.wait))}"
        finally:
            self._transport.close()

    async def _lose(self, reason: str) -> None:
        """Clear away a life that ended, and tell everybody who waits for it."""
        self._down = reason
        logger.error("the engine is started again: %s", reason)
        self._process.kill()
        self._counted, self._progress = self.statistics.at_rest(), None
        if self._deliver is not None:
            self._deliver(EngineLost(f"the engine was lost: {reason}"))
        await asyncio.to_thread(self._process.wait)  # giving back a large memory takes a while

    def close(self, drain: bool = False) -> None:
        """End the process and wait for it; what is on its way to disk has its time where `drain` is set."""
        self._is_closing = True
        if not hasattr(self, "_process"):
            return  # it was never started
        if self._writing_seconds and not drain:
            self._process.kill()
        with suppress(OSError):
            self._end.close()  # the process ends when nobody is at this end
        try:
            self._process.wait(_CLOSE_SECONDS + self._writing_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Events(asyncio.Protocol):
    """Hands what arrives to an engine's line."""

    def __init__(self, line: EngineProcess) -> None:
        self._line = line
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_lost(self) -> bool:
        """Whether the other end is closed."""
        return self.lost.done()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._line.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        if not self.lost.done():
            self.lost.set_result(None)


def _error_of(message: LoadFailed) -> TrtnemoError:
    kind = error_named(message.kind, TrtnemoError)
    if kind is None or issubclass(kind, RequestError):
        kind = EngineError
    return kind(message.what, where=message.where, remedy=message.remedy)


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

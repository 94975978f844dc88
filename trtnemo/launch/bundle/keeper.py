"""A bundle's server kept serving under one name: what is started, watched, written down, and put in its place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trtnemo.errors import TrtnemoError
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.sealed import SealedStart
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.bundle.supervise import SupervisedServer
from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.door import Door
from trtnemo.launch.keep.gpu_evidence import gpu_evidence
from trtnemo.launch.keep.machine import replacement
from trtnemo.launch.keep.machine.member import Member
from trtnemo.launch.keep.machine.start_times import StartTimes
from trtnemo.launch.keep.machine.started import require_started, started
from trtnemo.launch.keep.place import Place
from trtnemo.launch.keep.probes import ask_canary
from trtnemo.launch.keep.restarts import Mode, Restarts
from trtnemo.launch.keep.supervisor import Charge, Supervisor
from trtnemo.launch.keep.told.events import Events
from trtnemo.launch.keep.told.metrics import SupervisionMetrics
from trtnemo.launch.keep.told.notify import notify
from trtnemo.launch.keep.told.server_log import ServerLog
from trtnemo.launch.keep.watcher import Watcher
from trtnemo.launch.servers.watch import WITHOUT_A_LIMIT


@dataclass(frozen=True)
class Keeping:
    """How a server is kept serving.

    start_seconds: that a start may take; events: a file for what happens, as JSON lines; metrics_port: where
    Prometheus asks on this machine; gateway: words of `trtnemo gateway` where one stands before the server; time_scale:
    below 1 all limits are shorter, for trials.
    """

    restart: Mode = "no"
    start_seconds: float = 3600.0
    events: Path | None = None
    metrics_port: int | None = None
    gateway: tuple[str, ...] | None = None
    time_scale: float = 1.0


@dataclass(frozen=True)
class Life:
    """What one life of a server runs: the bundle's start, its words, the model's name, and GPUs that work together."""

    start: SealedStart
    words: tuple[str, ...]
    model: str
    gpus: int

    @property
    def container(self) -> str | None:
        """The name of its container, None where it runs as a process."""
        if self.words[0] != "docker":
            return None
        return f"trtnemo-{self.start.manifest.digest[:12]}-{self.start.address[1]}"

    @property
    def key_variable(self) -> str | None:
        """The variable that holds the server's key, where the bundle passes one on by its name."""
        names = {f"{prefix}API_KEY" for prefix in self.start.server.dialect.variable_prefixes}
        return next((name for name, value in self.start.manifest.env.items() if value is None and name in names), None)

    @property
    def url(self) -> str:
        """Where it answers, seen from this machine."""
        host, port = self.start.address
        return f"http://{reachable(host)}:{port}"


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a server that listens there."""
    return "127.0.0.1" if host in ("0.0.0.0", "localhost") else f"[{host}]" if ":" in host else host  # noqa: S104


class Keeper:
    """Keeps one server; `prepare` returns the life of another bundle in its place, and raises where it cannot be."""

    def __init__(
        self, name: str, life: Life, keeping: Keeping, output: Output, prepare: Callable[[Path], Life]
    ) -> None:
        self._name, self._life, self._keeping, self._output, self._prepare = name, life, keeping, output, prepare
        self._clock, self._metrics = Clock(keeping.time_scale), SupervisionMetrics()
        self._me = require_started(os.getpid())
        self._log = ServerLog(self._member(life).log)
        self._door: Door | None = None
        events = Events(output.report, keeping.events, self._metrics.hear)
        self._events = events
        self._supervisor = Supervisor(
            self._charge(life), Restarts(keeping.restart), events, self._clock, self._note, gpu_evidence
        )

    def run(self) -> None:
        """Serve until it is told to stop, or gives up; then raises ServerError."""
        if self._keeping.metrics_port is not None:
            self._metrics.serve(self._keeping.metrics_port)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(replacement.SIGNAL, lambda *_: self._in_background(self._replace))
        if self._keeping.gateway is not None:
            self._door = Door(self._door_words(self._keeping.gateway), self._drain_seconds, self._output.report)
            self._output.report(f"Gateway at {self._door.url}")
        try:
            self._supervisor.run()
        finally:
            if self._door is not None:
                self._door.close()

    @property
    def _drain_seconds(self) -> float:
        return self._clock.real(self._life.start.server.watch.drain_seconds)

    def _door_words(self, given: tuple[str, ...]) -> list[str]:
        """Return the gateway's words: it waits for what runs as long as the server would, unless told otherwise."""
        words = ["--upstream", self._life.url, "--set", f"drain_seconds={self._drain_seconds:g}"]
        words += ["--upstream-key", self._life.key_variable] if self._life.key_variable is not None else []
        return [*words, *given]

    def _stop(self) -> None:
        """Close the door first, so that nothing is asked of a server that ends; the second time end at once."""
        notify("STOPPING=1")
        if self._door is None or self._door.is_closing:
            self._supervisor.stop()
        else:
            self._in_background(self._close)

    def _close(self) -> None:
        if self._door is not None:
            self._door.close()
        self._supervisor.stop()

    def _in_background(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="trtnemo-keeper", daemon=True).start()

    def _replace(self) -> None:
        """Put the bundle that was asked for in the place of this one."""
        directory = replacement.asked_for(self._name)
        if directory is None:
            return
        try:
            life = self._prepare(directory)
        except TrtnemoError as error:
            self._events.tell("refused", f"the bundle {directory} cannot take the place: {error}")
            replacement.answer(self._name, "refused", str(error))
            return
        if self._door is not None:
            self._door.pause()
        if not self._supervisor.replace(self._charge(life), lambda problem: self._replaced(life, problem)):
            replacement.answer(self._name, "refused", "another bundle is being tried: wait for what becomes of it")

    def _replaced(self, life: Life, problem: str | None) -> None:
        if self._door is not None:
            self._door.resume()
        if problem is None:
            self._life = life
            self._note("serving", self._supervisor.pid, 0)
            replacement.answer(self._name, "replaced", f"{life.model} is served from {life.start.directory}")
        else:
            replacement.answer(self._name, "rolled back", problem)

    def _charge(self, life: Life) -> Charge:
        server, clock = life.start.server, self._clock
        key = None if life.key_variable is None else os.environ.get(life.key_variable)
        place = Place(life.url, life.model, self._keeping.start_seconds, server.health, key)
        return Charge(
            start=lambda: self._begin(life),
            watcher=lambda: Watcher(place, server.watch, life.gpus, clock),
            place=place,
            times=StartTimes(life.start.manifest.digest),
            well=lambda: _problem(place, clock.real(WITHOUT_A_LIMIT)),
        )

    def _begin(self, life: Life) -> SupervisedServer:
        start, container = life.start, life.container
        words = list(life.words)
        if container is not None:  # its processes are not children of ours
            words = [*words[:3], "--name", container, "--init", *words[3:]]
        given = {name: value for name, value in start.manifest.env.items() if value is not None}
        issues = start.server.issues_of(start.manifest.server_version or start.surface.version)
        return SupervisedServer(
            words,
            {**os.environ, **given},
            str(start.directory),
            Output(self._output.report, self._read),
            LogReader(start.server.stages, issues),
            stop_seconds=self._clock.real(start.server.watch.drain_seconds),
            kill_words=() if container is None else ("docker", "kill", container),
        )

    def _read(self, line: str) -> None:
        self._log.write(line)
        self._output.log(line)

    def _member(self, life: Life) -> Member:
        manifest = life.start.manifest
        bundle = str(life.start.directory.resolve())
        return Member(self._name, manifest.runtime, life.url, life.model, bundle, self._me, container=life.container)

    def _note(self, state: str, pid: int | None, restarts: int) -> None:
        self._metrics.note(state)
        server = None if pid is None else started(pid)
        door = None if self._door is None else self._door.url
        fields = {"state": state, "server": server, "since": time.time(), "restarts": restarts, "door": door}
        msgspec.structs.replace(self._member(self._life), **fields).write()
        notify(f"READY=1\nSTATUS={state}" if state == "serving" else f"STATUS={state}")


def _problem(place: Place, patience: float) -> str | None:
    """Return what is wrong with the answer to the known question, None where it is right."""
    answer = ask_canary(place.url, place.model, patience, place.headers)
    return answer.failure or answer.drift

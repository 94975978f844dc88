"""`serve` for an external server: preflight, start of what was sealed, wait for a real token, live with it."""

from __future__ import annotations

import os
import shlex
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from trtnemo.engine import verify_files
from trtnemo.engine.manifest import BundleManifest, CheckpointReference
from trtnemo.errors import EngineError, RecipeError
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.preflight import preflight
from trtnemo.launch.bundle.sealed import SealedStart, differences_today, recipe_of
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.bundle.supervise import SupervisedServer
from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.events import Events
from trtnemo.launch.keep.member import Member, entered
from trtnemo.launch.keep.restarts import Mode, Restarts
from trtnemo.launch.keep.server_log import ServerLog
from trtnemo.launch.keep.started import require_started, started
from trtnemo.launch.keep.supervisor import Place, Supervisor
from trtnemo.launch.keep.watcher import Watcher
from trtnemo.launch.render.client_endpoint import served_name


@dataclass(frozen=True)
class Keeping:
    """How a server is kept serving.

    start_seconds: that a start may take; events: a file for what happens, as JSON lines; gpus: that work together;
    time_scale: below 1 all limits are shorter, for trials.
    """

    restart: Mode = "no"
    start_seconds: float = 3600.0
    events: Path | None = None
    gpus: int = 1
    time_scale: float = 1.0


def serve_bundle(
    directory: Path,
    manifest: BundleManifest,
    output: Output,
    *,
    host: str | None = None,
    port: int | None = None,
    keeping: Keeping | None = None,
    audited: CheckpointReference | None = None,
) -> None:
    """Start the server of a bundle and stay until it ends; `audited` is the checkpoint where it was just audited.

    Raises TrtnemoError of what is wrong before anything is started, ServerError afterwards.
    """
    if port == 0:
        raise RecipeError("port 0 lets the system choose, which no external server reports", remedy="Give a port")
    problems = verify_files(directory, manifest, thorough=True)
    if problems:
        raise EngineError(problems[0], where=str(directory), remedy="Rebuild the bundle")
    start, recipe = SealedStart(directory, manifest, host, port), recipe_of(manifest)
    for difference in differences_today(start):
        output.report(f"note  {difference}")
    name = f"{directory.resolve().name}-{start.address[1]}"
    with entered(name) as left:
        for member in left:
            if member.end():
                output.report(f"ended what a supervisor that is gone left of {name}")
        checked = preflight(start, recipe, audited)
        for step in checked.steps:
            output.report(f"{'fails' if step.failure else 'ok   '} {step.name}: {step.text}")
        checked.require()
        words = start.container_words() if checked.starts_with == "docker" else start.program_words()
        output.report("starting: " + " ".join(map(shlex.quote, words)))
        parallel = getattr(recipe, "parallel", None)
        gpus = parallel.tensor * parallel.pipeline if parallel is not None else 1
        _run(name, words, start, served_name(recipe), replace(keeping or Keeping(), gpus=gpus), output)


def _run(name: str, words: list[str], start: SealedStart, model: str, keeping: Keeping, output: Output) -> None:
    given = {name: value for name, value in start.manifest.env.items() if value is not None}
    issues = start.server.issues_of(start.manifest.server_version or start.surface.version)
    host, port = start.address
    container = f"trtnemo-{start.manifest.digest[:12]}-{port}" if words[0] == "docker" else None
    if container is not None:  # its processes are not children of ours
        words = [*words[:3], "--name", container, "--init", *words[3:]]
    clock, watch = Clock(keeping.time_scale), start.server.watch
    place = Place(f"http://{_reachable(host)}:{port}", model, keeping.start_seconds, start.server.health)

    me = require_started(os.getpid())
    member = Member(
        name, start.manifest.runtime, place.url, model, str(start.directory.resolve()), me, container=container
    )
    log = ServerLog(member.log)

    def both(line: str) -> None:
        log.write(line)
        output.log(line)

    def note(state: str, pid: int | None, restarts: int) -> None:
        server = None if pid is None else started(pid)
        replaced = msgspec.structs.replace(member, state=state, server=server, since=time.time(), restarts=restarts)
        replaced.write()

    def begin() -> SupervisedServer:
        return SupervisedServer(
            words,
            {**os.environ, **given},
            str(start.directory),
            Output(output.report, both),
            LogReader(start.server.stages, issues),
            stop_seconds=clock.real(watch.drain_seconds),
            kill_words=() if container is None else ("docker", "kill", container),
        )

    def watcher() -> Watcher:
        return Watcher(place.url, model, watch, keeping.gpus, clock, place.health)

    events = Events(output.report, keeping.events)
    supervisor = Supervisor(begin, watcher, place, Restarts(keeping.restart), events, clock, note)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.run()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "localhost") else f"[{host}]" if ":" in host else host  # noqa: S104

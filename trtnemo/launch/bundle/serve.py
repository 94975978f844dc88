"""`serve` for an external server: preflight, start of what was sealed, wait for a real token, live with it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from trtnemo.engine import verify_files
from trtnemo.engine.manifest import BundleManifest, CheckpointReference
from trtnemo.errors import EngineError, RecipeError
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.preflight import preflight
from trtnemo.launch.bundle.sealed import SealedStart, differences_today, recipe_of
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.bundle.supervise import SupervisedServer
from trtnemo.launch.render.clients.endpoint import served_name


def serve_bundle(
    directory: Path,
    manifest: BundleManifest,
    output: Output,
    *,
    host: str | None = None,
    port: int | None = None,
    start_timeout: float = 3600.0,
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
    checked = preflight(start, recipe, audited)
    for step in checked.steps:
        output.report(f"{'fails' if step.failure else 'ok   '} {step.name}: {step.text}")
    checked.require()
    words = start.container_words() if checked.starts_with == "docker" else start.program_words()
    output.report("starting: " + " ".join(map(shlex.quote, words)))
    _run(words, start, served_name(recipe), start_timeout, output)


def _run(words: list[str], start: SealedStart, model: str, start_timeout: float, output: Output) -> None:
    given = {name: value for name, value in start.manifest.env.items() if value is not None}
    issues = start.server.issues_of(start.manifest.server_version or start.surface.version)
    reader = LogReader(start.server.stages, issues)
    server = SupervisedServer(words, {**os.environ, **given}, str(start.directory), output, reader)
    server.pass_signals()
    try:
        host, port = start.address
        url = f"http://{_reachable(host)}:{port}"
        server.wait_until_ready(url, model, start_timeout, start.server.health)
        output.report(f"Serving {model} at {url}")
        server.wait()
    finally:
        server.stop()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "localhost") else f"[{host}]" if ":" in host else host  # noqa: S104

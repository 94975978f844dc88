"""`serve` for an external server: preflight, start, wait for a real token, live with it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from trtnemo.engine import verify_files
from trtnemo.engine.manifest import BundleManifest
from trtnemo.errors import EngineError
from trtnemo.launch.bundle.bundle import BUNDLED
from trtnemo.launch.bundle.preflight import Preflight, preflight
from trtnemo.launch.bundle.supervise import SupervisedServer
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.render.clients import served_name
from trtnemo.launch.render.docker import docker_lines
from trtnemo.launch.render.shell_text import CACHE_MOUNT
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.known_issues import rules_for
from trtnemo.recipe import AnyRecipe
from trtnemo.recipe.runtimes import ADAPTER

Report = Callable[[str], None]
_CACHE = CACHE_MOUNT.partition(":")[0]


def recipe_of(manifest: BundleManifest) -> AnyRecipe:
    """Return the recipe that a bundle was built from."""
    return ADAPTER.validate_python(manifest.recipe)


def serve_bundle(
    directory: Path,
    manifest: BundleManifest,
    *,
    host: str | None = None,
    port: int | None = None,
    start_timeout: float = 3600.0,
    report: Report,
    log: Report,
) -> None:
    """Start the server of a bundle and stay until it ends; `report` gets what happens, `log` the server's own lines.

    Raises EngineError, MachineError, CheckpointError or UsageError before anything is started, ServerError afterwards.
    """
    problems = verify_files(directory, manifest, thorough=True)
    if problems:
        raise EngineError(problems[0], where=str(directory), remedy="Rebuild the bundle")
    recipe = _addressed(recipe_of(manifest), host, port)
    invocation = to_invocation(recipe)
    address = invocation.port
    checked = preflight(manifest, recipe, address)
    for step in checked.steps:
        report(f"{'fails' if step.failure else 'ok   '} {step.name}: {step.text}")
    checked.require()
    words = _words(manifest, checked, invocation, directory)
    report("starting: " + " ".join(map(shlex.quote, words)))
    _run(words, invocation, directory, recipe, address, start_timeout, report, log)


def _run(
    words: list[str],
    invocation: Invocation,
    directory: Path,
    recipe: AnyRecipe,
    port: int,
    start_timeout: float,
    report: Report,
    log: Report,
) -> None:
    environment = {**os.environ, **{name: value for name, value in invocation.env.items() if value is not None}}
    server = SupervisedServer(words, environment, str(directory), report, log, rules_for(invocation))
    server.pass_signals()
    try:
        url, name = f"http://{_reachable(recipe.server.host)}:{port}", served_name(recipe)
        server.wait_until_ready(url, name, start_timeout)
        report(f"Serving {name} at {url}")
        server.wait()
    finally:
        server.stop()


def _addressed(recipe: AnyRecipe, host: str | None, port: int | None) -> AnyRecipe:
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    return recipe.model_copy(update={"server": recipe.server.model_copy(update=given)}) if given else recipe


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "localhost") else f"[{host}]" if ":" in host else host  # noqa: S104


def _words(manifest: BundleManifest, checked: Preflight, invocation: Invocation, directory: Path) -> list[str]:
    if checked.starts_with == "docker":
        return _docker_words(invocation, directory)
    from trtnemo.launch.render.words import Places, server_words

    config, plugin = (str(directory.resolve() / Path(place).name) for place in (BUNDLED.config, BUNDLED.plugin))
    return server_words(invocation, Places(config, plugin))


def _docker_words(invocation: Invocation, directory: Path) -> list[str]:
    """Return `docker run` as words, with the paths that a shell would have put in."""
    text = " ".join(docker_lines(invocation, interactive=False))
    cache = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    here = str(directory.resolve())
    return [_resolved(word, cache, here) for word in shlex.split(text)]


def _resolved(word: str, cache: str, here: str) -> str:
    return cache + word.removeprefix(_CACHE) if word.startswith(f"{_CACHE}:") else word.replace("$(pwd)", here)

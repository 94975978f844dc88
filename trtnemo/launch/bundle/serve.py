"""`serve` for an external server: preflight, start of what was sealed, wait for a real token, live with it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from trtnemo.engine import verify_files
from trtnemo.engine.manifest import BundleManifest, CheckpointReference, read_manifest
from trtnemo.errors import EngineError, RecipeError, ServerError
from trtnemo.front.listen import bind
from trtnemo.launch.bundle.keeper import Keeper, Keeping, Life
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.preflight import Preflight, preflight
from trtnemo.launch.bundle.sealed import SealedStart, differences_today, recipe_of
from trtnemo.launch.keep.door import inner_port
from trtnemo.launch.keep.machine.member import entered
from trtnemo.launch.render.client_endpoint import served_name

_BEFORE_THE_END = 10  # seconds: it ends by itself before it is killed


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
    keeping = keeping or Keeping()
    outer = SealedStart(directory, manifest, host, port)
    require_sound(outer, output)
    start, recipe = outer if keeping.gateway is None else _behind(outer), recipe_of(manifest)
    name = f"{directory.resolve().name}-{outer.address[1]}"
    with entered(name) as left:
        for member in left:
            if member.end():
                output.report(f"ended what a supervisor that is gone left of {name}")
        checked = preflight(start, recipe, audited)
        _tell(checked, output)
        life = life_of(start, checked)
        output.report("starting: " + " ".join(map(shlex.quote, life.words)))
        host, port = outer.address
        at_door = None if keeping.gateway is None else (*keeping.gateway, "--host", host, "--port", str(port))
        keeper = Keeper(name, life, replace(keeping, gateway=at_door), output, lambda path: _other(path, start, output))
        keeper.run()


def require_sound(start: SealedStart, output: Output) -> None:
    """Raise EngineError where a bundle is not as it was sealed; report what is translated otherwise today."""
    problems = verify_files(start.directory, start.manifest, thorough=True)
    if problems:
        raise EngineError(problems[0], where=str(start.directory), remedy="Rebuild the bundle")
    for difference in differences_today(start):
        output.report(f"note  {difference}")


def _behind(outer: SealedStart) -> SealedStart:
    """Return the start of the server behind a gateway: on this machine alone, at a port of its own."""
    return replace(outer, host="127.0.0.1", port=inner_port(outer.address[1], _is_free))


def _is_free(port: int) -> bool:
    try:
        bind("127.0.0.1", port).close()
    except ServerError:
        return False
    return True


def _tell(checked: Preflight, output: Output) -> None:
    for step in checked.steps:
        output.report(f"{'fails' if step.failure else 'ok   '} {step.name}: {step.text}")
    checked.require()


def life_of(start: SealedStart, checked: Preflight) -> Life:
    """Return what a start runs, with the program that is here."""
    recipe = recipe_of(start.manifest)
    words = start.container_words() if checked.starts_with == "docker" else start.program_words()
    words += _drain_words(start, words)
    return Life(start, tuple(words), served_name(recipe), recipe.parallel.tensor * recipe.parallel.pipeline)


def _drain_words(start: SealedStart, words: list[str]) -> list[str]:
    """Return the option without which a server aborts what runs when it is told to end, where its version has it."""
    name = start.server.in_cluster.drain_option
    option = None if name is None else start.surface.find(name)
    if option is None or any(word.partition("=")[0] in option.names for word in words):
        return []
    return [option.name, f"{start.server.watch.drain_seconds - _BEFORE_THE_END:.0f}"]


def _other(directory: Path, now: SealedStart, output: Output) -> Life:
    """Return the life of another bundle at the same address; raises TrtnemoError where it cannot be started."""
    manifest = read_manifest(directory)
    if not isinstance(manifest, BundleManifest):
        raise EngineError("is an engine of ours, not a bundle", where=str(directory))
    start = SealedStart(directory, manifest, *now.address)
    require_sound(start, output)
    checked = preflight(start, recipe_of(manifest), held=True)
    _tell(checked, output)
    return life_of(start, checked)

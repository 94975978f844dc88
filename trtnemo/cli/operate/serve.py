"""`trtnemo serve`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import default_engine, read_path, require_interpreted, set_option
from trtnemo.cli.views.progress import byte_progress
from trtnemo.errors import EngineError, UsageError

if TYPE_CHECKING:
    from trtnemo.engine.manifest import AnyManifest, BundleManifest
    from trtnemo.launch.bundle.keeper import Keeping
    from trtnemo.recipe import AnyRecipe
    from trtnemo.recipe.runtimes import OwnServer


TIME_SCALE = "TRTNEMO_TIME_SCALE"  # of all limits of supervision, for trials of it
# parts of a recipe that belong to serving, not to an engine
SERVED = ("server.", "served_model_names=")
# begins settings of the gateway before an external server
GATEWAY = "gateway."


@click.command()
@click.option("--recipe", help="Name or path of a recipe; its engine is built if it is missing.")
@click.option("--engine", type=click.Path(path_type=Path), help="Engine directory.")
@click.option("--host", help="Address to bind.  [default: the recipe's]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.  [default: the recipe's]"
)
@click.option(
    "--served-model-name",
    "names",
    multiple=True,
    help="Name that clients may use; repeatable.  [default: the recipe's]",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    help="File of `name: key` lines, mode 0600; every request needs one. For our own server, and for --gateway.",
)
@click.option(
    "--prefix-dir",
    type=click.Path(),
    callback=read_path,
    help="Directory of states of long prompts, which outlive the server: 8 GiB or server.prefix_dir_gib. On a CPU.",
)
@click.option("--metrics-open", is_flag=True, help="Answer /metrics without a key.")
@click.option("--insecure", is_flag=True, help="Allow listening beyond this machine without keys.")
@click.option("--access-log", type=click.Choice(["off", "text", "json"]), help="A line for each request, on stderr.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="How much our own server says of itself on stderr.",
)
@click.option(
    "--start-timeout",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    help="Seconds until an external server must answer.",
)
@click.option(
    "--restart",
    type=click.Choice(["always", "on-failure", "no"]),
    default="on-failure",
    show_default=True,
    help="When an external server that is lost is started again; on-failure gives up where it cannot help.",
)
@click.option(
    "--events", type=click.Path(path_type=Path), help="File to append what happens to an external server, as JSON."
)
@click.option(
    "--gateway",
    is_flag=True,
    help="Put the gateway before an external server: keys, limits, readiness; --set gateway.KEY=VALUE changes it.",
)
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Port on this machine for what supervision counts.")
@click.option(
    "--interpret", is_flag=True, help="Compute on the CPU what was made for a GPU: slow, for machines without one."
)
@set_option
def serve(
    recipe: str | None,
    engine: Path | None,
    names: tuple[str, ...],
    log_level: str,
    start_timeout: float,
    restart: str,
    events: Path | None,
    gateway: bool,
    metrics_port: int | None,
    interpret: bool,
    settings: tuple[str, ...],
    **given: Any,
) -> None:
    """Serve an engine over the OpenAI API.

    Our own server answers /v1/chat/completions, /v1/completions, /v1/responses and /v1/messages. Values of the recipe's
    `server` section, such as --set server.cors_origins='[https://a.b]', its names, cpu.threads, cpu.lock_memory and
    cpu.huge_pages take effect without building the engine again.

    A bundle's server (trtllm-serve, vLLM, SGLang) is checked for, started, watched by its progress, started again where
    it is lost, and ended with this command, with every process of it. Runs until SIGTERM or Ctrl-C, then finishes what
    is running and exits 0; a second one ends it.
    """
    from trtnemo.endpoint import hold_leash
    from trtnemo.engine.manifest import BundleManifest

    hold_leash()
    of_gateway = tuple(item for item in settings if item.startswith(GATEWAY))
    settings = tuple(item for item in settings if not item.startswith(GATEWAY))
    directory, manifest, is_new = open_or_build(recipe, engine, settings)
    if interpret:
        require_interpreted(manifest.runtime)
    if given["prefix_dir"] is not None and manifest.runtime != "cpu":
        raise UsageError(f"--prefix-dir is for engines of runtime 'cpu', and this one is of '{manifest.runtime}'")
    if isinstance(manifest, BundleManifest):
        own = [option for option in ("api_key_file", "metrics_open", "access_log") if given[option] and not gateway]
        if own or names:
            option = (own or ["served_model_name"])[0].replace("_", "-")
            raise UsageError(
                f"--{option} is for our own server; runtime '{manifest.runtime}' has options of its own",
                remedy="" if names else "--gateway puts our front before it",
            )
        if of_gateway and not gateway:
            raise UsageError("--set gateway.KEY=VALUE goes with --gateway")
        if not gateway:
            _warn_of_exposure(given["host"] or load_served(manifest, recipe, ()).server.host)
        words = _gateway_words(given, of_gateway, metrics_port) if gateway else None
        keeping = replace(_keeping(restart, start_timeout, events), metrics_port=metrics_port, gateway=words)
        _serve_bundle(directory, manifest, given["host"], given["port"], keeping, is_new)
    elif gateway or metrics_port is not None:
        raise UsageError("--gateway and --metrics-port are for external servers; ours has a front of its own")
    else:
        _set_up_logging(log_level)
        chosen = load_served(manifest, recipe, settings)
        _serve_engine(directory, chosen, _options(chosen, given), names or chosen.served_model_names, interpret)


def _gateway_words(given: dict[str, Any], settings: tuple[str, ...], metrics_port: int | None) -> tuple[str, ...]:
    """Return the words of `trtnemo gateway` that say what this command line says."""
    words = ["--api-key-file", str(given["api_key_file"])] if given["api_key_file"] else []
    words += ["--access-log", given["access_log"]] if given["access_log"] else []
    words += [f"--{name.replace('_', '-')}" for name in ("metrics_open", "insecure") if given[name]]
    words += [word for item in settings for word in ("--set", item.removeprefix(GATEWAY))]
    if metrics_port is not None:
        words += ["--set", f"metrics_beside=[http://127.0.0.1:{metrics_port}/metrics]"]
    return tuple(words)


def _warn_of_exposure(host: str) -> None:
    from trtnemo.front.exposure import is_loopback

    if not is_loopback(host):
        click.echo(
            f"This server listens on {host}, and trtnemo puts no key before it: who reaches it may use it.", err=True
        )


def _set_up_logging(level: str) -> None:
    import logging

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=level.upper())


def _options(recipe: AnyRecipe, given: dict[str, Any]) -> OwnServer:
    """Return the recipe's server section with what the command line says in place of it."""
    chosen = {name: value for name, value in given.items() if value is not None and value is not False}
    chosen = {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}
    server: OwnServer = recipe.server  # type: ignore[assignment]
    return type(server)(**{**server.model_dump(), **chosen})


def _serve_engine(engine: Path, served: AnyRecipe, options: OwnServer, names: tuple[str, ...], interpret: bool) -> None:
    from trtnemo.engine import Engine
    from trtnemo.front.listen import bind
    from trtnemo.recipe.placed import placed_of
    from trtnemo.server import serve_engine

    opened = Engine.open(engine)
    if options.unix_socket is None:
        bind(options.host, options.port).close()  # a port in use is reported before weights are loaded
    if opened.manifest.runtime == "cpu" and not opened.is_packed:
        click.echo(
            "This engine runs in torch, the slow reference: its weights are not packed for the native runtime.",
            err=True,
        )
    how = ", interpreted on the CPU," if interpret else ""
    serve_engine(
        opened,
        options,
        lambda url: click.echo(f"Serving {', '.join(names)}{how} at {url}"),
        names=names,
        interpret=interpret,
        placed=placed_of(served),
        tell=lambda line: click.echo(line, err=True),
    )


def _keeping(restart: Any, start_seconds: float, events: Path | None) -> Keeping:
    import os

    from trtnemo.launch.bundle.keeper import Keeping

    try:
        scale = float(os.environ.get(TIME_SCALE, "1"))
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise UsageError(f"{TIME_SCALE} is a number above 0 and at most 1")
    return Keeping(restart, start_seconds, events, time_scale=scale)


def _serve_bundle(
    directory: Path, manifest: BundleManifest, host: str | None, port: int | None, keeping: Keeping, is_new: bool
) -> None:
    from trtnemo.launch.bundle.output import Output
    from trtnemo.launch.bundle.serve import serve_bundle
    from trtnemo.launch.bundle.supervise import ServerDiedError

    try:
        serve_bundle(
            directory,
            manifest,
            Output(report=click.echo, log=lambda line: click.secho(line, dim=True, err=True)),
            host=host,
            port=port,
            keeping=keeping,
            audited=manifest.checkpoint if is_new else None,
        )
    except ServerDiedError as error:
        click.echo(f"the server's last lines:\n{error.log}", err=True)
        raise


def open_or_build(recipe: str | None, engine: Path | None, settings: tuple[str, ...]) -> tuple[Path, AnyManifest, bool]:
    """Return the engine or bundle named by either option, and whether it was built now.

    Raises UsageError when both are given.
    """
    from trtnemo.engine.manifest import read_manifest
    from trtnemo.recipe.placed import PLACED

    if engine is not None and recipe is not None:
        raise UsageError("give --recipe or --engine, not both")
    if engine is not None:
        others = [item for item in settings if not item.startswith((*SERVED, *PLACED))]
        if others:
            raise UsageError("--set changes a recipe; an engine is built already", remedy="Rebuild it with --set")
        return engine, read_manifest(engine), False
    name = recipe or "tiny"
    directory = default_engine(name)
    if not directory.exists():
        from trtnemo.launch.build import build_from_recipe

        with byte_progress() as progress:
            build_from_recipe(name, directory, settings=settings, progress=progress)
        return directory, read_manifest(directory), True
    return directory, _require_current(directory, name, settings), False


def _require_current(directory: Path, recipe: str, settings: tuple[str, ...]) -> AnyManifest:
    """Return the manifest if the engine is still the recipe's, whatever its server section says; raises EngineError."""
    from trtnemo.engine.manifest import BundleManifest, read_manifest
    from trtnemo.recipe import load_recipe
    from trtnemo.recipe.load import load_recorded
    from trtnemo.recipe.placed import placed_of, with_placed

    manifest = read_manifest(directory)
    wanted, built = load_recipe(recipe, settings), load_recorded(manifest.recipe)
    is_ours = not isinstance(manifest, BundleManifest)
    if is_ours and wanted.runtime == built.runtime:
        wanted = wanted.model_copy(update={name: getattr(built, name) for name in ("server", "served_model_names")})
        wanted = with_placed(wanted, placed_of(built))
    if wanted != built:
        raise EngineError(
            f"was built from another form of recipe '{recipe}'",
            where=str(directory),
            remedy=f"`trtnemo build --recipe {recipe} --force` renews it; --engine serves it as it is",
        )
    return manifest


def load_served(manifest: AnyManifest, recipe: str | None, settings: tuple[str, ...]) -> AnyRecipe:
    """Return the recipe whose server section and names are served: today's, or the one that an engine recorded."""
    from trtnemo.recipe import load_recipe
    from trtnemo.recipe.load import load_changed, load_recorded

    if recipe is not None:
        return load_recipe(recipe, settings)
    return load_changed(manifest.recipe, settings) if settings else load_recorded(manifest.recipe)

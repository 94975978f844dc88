"""`trtnemo serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import default_engine, set_option
from trtnemo.cli.views.progress import byte_progress
from trtnemo.errors import EngineError, UsageError

if TYPE_CHECKING:
    from trtnemo.engine.manifest import AnyManifest, BundleManifest


@click.command()
@click.option("--recipe", help="Name or path of a recipe; its engine is built if it is missing.")
@click.option("--engine", type=click.Path(path_type=Path), help="Engine directory.")
@click.option("--host", help="Address to bind.  [default: the recipe's]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.  [default: the recipe's]"
)
@click.option(
    "--start-timeout",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    help="Seconds until an external server must answer.",
)
@click.option(
    "--interpret", is_flag=True, help="Run TensorRT plans layer by layer on the CPU: slow, for machines without a GPU."
)
@set_option
def serve(
    recipe: str | None,
    engine: Path | None,
    host: str | None,
    port: int | None,
    start_timeout: float,
    interpret: bool,
    settings: tuple[str, ...],
) -> None:
    """Serve an engine over the OpenAI API.

    A bundle's server (trtllm-serve, vLLM, SGLang) is checked for, started, watched until it gives a token, and ended
    with this command. Runs until SIGTERM or Ctrl-C, then finishes what is running and exits 0.
    """
    from trtnemo.endpoint import hold_leash
    from trtnemo.engine.manifest import BundleManifest

    hold_leash()
    directory, manifest, is_new = open_or_build(recipe, engine, settings)
    if interpret and manifest.runtime != "tensorrt":
        raise UsageError(f"--interpret is for TensorRT plans; runtime '{manifest.runtime}' has none")
    if isinstance(manifest, BundleManifest):
        _serve_bundle(directory, manifest, host, port, start_timeout, is_new)
    else:
        _serve_engine(directory, host, port, interpret)


def _serve_engine(directory: Path, host: str | None, port: int | None, interpret: bool) -> None:
    from trtnemo.engine import Engine
    from trtnemo.server import serve_engine
    from trtnemo.server.serve import bind

    opened = Engine.open(directory)
    address = opened.recipe.server
    bound_host, bound_port = host or address.host, address.port if port is None else port
    bind(bound_host, bound_port).close()  # a port in use is reported before weights are loaded
    names = ", ".join(opened.recipe.served_model_names)
    how = ", interpreted on the CPU," if interpret else ""
    if opened.manifest.runtime == "cpu" and not opened.is_packed:
        click.echo(
            "This engine runs in torch, the slow reference: its weights are not packed for the native runtime.",
            err=True,
        )
    serve_engine(
        opened, bound_host, bound_port, lambda url: click.echo(f"Serving {names}{how} at {url}"), interpret=interpret
    )


def _serve_bundle(
    directory: Path, manifest: BundleManifest, host: str | None, port: int | None, start_timeout: float, is_new: bool
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
            start_timeout=start_timeout,
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

    if engine is not None and recipe is not None:
        raise UsageError("give --recipe or --engine, not both")
    if engine is not None:
        if settings:
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
    """Return the manifest if the engine is still the recipe's; raises EngineError."""
    from trtnemo.engine.manifest import read_manifest
    from trtnemo.recipe import load_recipe
    from trtnemo.recipe.load import load_recorded

    manifest = read_manifest(directory)
    if load_recipe(recipe, settings) != load_recorded(manifest.recipe):
        raise EngineError(
            f"was built from another form of recipe '{recipe}'",
            where=str(directory),
            remedy=f"`trtnemo build --recipe {recipe} --force` renews it; --engine serves it as it is",
        )
    return manifest

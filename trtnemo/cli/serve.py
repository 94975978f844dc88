"""`trtnemo serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.build import build_from_recipe
from trtnemo.cli.options import default_engine, set_option
from trtnemo.errors import EngineError, UsageError

if TYPE_CHECKING:
    from trtnemo.engine import Engine


@click.command()
@click.option("--recipe", help="Name or path of a recipe; its engine is built first when it is not there.")
@click.option("--engine", type=click.Path(path_type=Path), help="Engine directory.")
@click.option("--host", help="Address to bind.  [default: the recipe's]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="TCP port; 0 lets the system choose.  [default: the recipe's]"
)
@set_option
def serve(
    recipe: str | None, engine: Path | None, host: str | None, port: int | None, settings: tuple[str, ...]
) -> None:
    """Serve an engine over the OpenAI API.

    Runs until SIGTERM or Ctrl-C, then finishes what is running and exits 0.
    """
    from trtnemo.server import serve_engine
    from trtnemo.server.serve import bind

    opened = open_or_build(recipe, engine, settings)
    address = opened.recipe.server
    bound_host, bound_port = host or address.host, address.port if port is None else port
    bind(bound_host, bound_port).close()  # a port in use is told before weights are loaded
    names = ", ".join(opened.recipe.served_model_names)
    serve_engine(opened, bound_host, bound_port, lambda url: click.echo(f"Serving {names} at {url}"))


def open_or_build(recipe: str | None, engine: Path | None, settings: tuple[str, ...]) -> Engine:
    """Return the engine named by either option; raises UsageError when both or neither are given."""
    from trtnemo.engine import Engine

    if engine is not None and recipe is not None:
        raise UsageError("give --recipe or --engine, not both")
    if engine is not None:
        if settings:
            raise UsageError("--set changes a recipe; an engine is built already", remedy="Rebuild it with --set")
        return Engine.open(engine)
    name = recipe or "tiny"
    directory = default_engine(name)
    if not directory.exists():
        build_from_recipe(name, None, directory, False, settings)
        return Engine.open(directory)
    return _require_current(Engine.open(directory), name, settings)


def _require_current(engine: Engine, recipe: str, settings: tuple[str, ...]) -> Engine:
    """Return the engine if it is still the recipe's; raises EngineError."""
    from trtnemo.recipe import load_recipe

    if load_recipe(recipe, settings) != engine.recipe:
        raise EngineError(
            f"was built from another form of recipe '{recipe}'",
            where=str(engine.directory),
            remedy=f"`trtnemo build --recipe {recipe} --force` renews it; --engine serves it as it is",
        )
    return engine

"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from trtnemo.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")(function)


def read_path(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the path behind an option as it is written; raises UsageError for what a recipe refuses as well."""
    from trtnemo.files.path_word import require_path

    try:
        return None if value is None else require_path(value)
    except ValueError as error:
        raise UsageError(f"{option.opts[0]} {error}") from None


def set_option(function: Function) -> Function:
    """Add `--set key.path=value`, repeatable."""
    option = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one value of the recipe, such as limits.max_batch_size=4. Repeatable.",
    )
    return option(function)


def place_options(function: Function) -> Function:
    """Add `--url`, `--recipe`, `--engine`, `--set` and `--model`: where requests are sent."""
    url = "Base URL of an OpenAI-compatible server; its key is read from OPENAI_API_KEY."
    for option in (
        click.option(
            "--model", help="Model to ask for.  [default: the server's first; of a batch, what its requests name]"
        ),
        set_option,
        click.option(
            "--engine", type=click.Path(path_type=Path), help="Engine to start for the duration of this command."
        ),
        click.option(
            "--recipe", help="Recipe to start for the duration of this command; its engine is built if it is missing."
        ),
        click.option("--url", help=url),
    ):
        function = option(function)
    return function


def require_interpreted(runtime: str) -> None:
    """Raise UsageError where a runtime has nothing that `--interpret` computes."""
    from trtnemo.backends.runtime import find_runtime
    from trtnemo.recipe.runtimes import OWN_RUNTIMES

    if runtime not in OWN_RUNTIMES or not find_runtime(runtime).interprets:
        raise UsageError(f"--interpret is for plans and kernels that are made for a GPU; runtime '{runtime}' has none")


def print_json(value: Any) -> None:
    """Print a JSON value."""
    # a lone surrogate, which no encoding takes, becomes the escape that JSON has for it
    click.echo(json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())


def write_text(path: Path, text: str) -> None:
    """Write a file; raises UsageError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None


def default_engine(recipe: str) -> Path:
    """Return where the engine of a recipe is built when nobody says otherwise."""
    from trtnemo.recipe.source import recipe_stem

    return Path("engines") / recipe_stem(recipe)

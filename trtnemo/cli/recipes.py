"""`trtnemo recipes`."""

from __future__ import annotations

from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json, set_option
from trtnemo.cli.pasted import part_option, pasted_text
from trtnemo.errors import UsageError


@click.group()
def recipes() -> None:
    """List, show, describe, import and upgrade recipes."""


@recipes.command("list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with the package."""
    from trtnemo.recipe import load_recipe, shipped_names
    from trtnemo.recipe.detected import GPU

    loaded = {name: load_recipe(name) for name in shipped_names()}
    if as_json:
        rows = [
            {"name": name, "runtime": item.runtime, "checkpoint": item.checkpoint, "description": item.description}
            for name, item in loaded.items()
        ]
        print_json(rows)
        return
    for name, item in loaded.items():
        click.echo(f"{name:<20} {item.runtime:<9} {item.description}")
    click.echo(f"{GPU:<20} {'cuda':<9} The one of the -cuda recipes that is for the GPU of this machine")


@recipes.command("show")
@click.argument("name")
@set_option
@json_option
def show_recipe(name: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show a recipe with every default filled in, by name or path."""
    import yaml

    from trtnemo.recipe import load_recipe

    data = load_recipe(name, settings).model_dump(mode="json")
    if as_json:
        print_json(data)
    else:
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


@recipes.command("schema")
def show_schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from trtnemo.recipe import json_schema

    print_json(json_schema())


@recipes.command("upgrade")
@click.argument("recipe")
@click.option("--to", "version", required=True, help="Version of the recipe's server to write it for.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write.  [default: RECIPE-VERSION.yaml here]")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
def upgrade(recipe: str, version: str, output: Path | None, force: bool, as_json: bool) -> None:
    """Write a recipe for another version of its server, and say what changes.

    Options and keys that the version no longer has become comments; options whose default is another one, and findings
    of `check` that come or go, are told. Exits 1 when the written recipe still has errors.
    """
    from trtnemo.launch.upgrade import default_output, upgrade_recipe

    upgraded = upgrade_recipe(recipe, version)
    target = output or default_output(recipe, version)
    if target.exists() and not force:
        raise UsageError("exists already", where=str(target), remedy="Give another --output, or --force")
    try:
        target.write_text(upgraded.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(target)) from None
    failed = [finding for finding in upgraded.findings if finding.severity == "error"]
    if as_json:
        changes = [vars(change) for change in upgraded.changes]
        found = [vars(finding) for finding in upgraded.findings]
        print_json({"written": str(target), "passed": not failed, "changes": changes, "findings": found})
    else:
        for change in upgraded.changes:
            click.echo(f"{change.kind}: {change.subject} {change.sentence}")
        left = f"{len(failed)} error{'s' if len(failed) != 1 else ''} left"
        click.echo(f"{target}: written for {upgraded.checked_against}, {left}")
    if failed:
        raise SystemExit(1)


@recipes.command("import")
@click.argument("command", metavar="TEXT|FILE|-")
@part_option
@click.option("--server-version", help="Version of the command's server, where the text does not say it.")
@click.option("--description", default="imported from a command", show_default=True, help="One line for the recipe.")
def import_command(command: str, part: str | None, server_version: str | None, description: str) -> None:
    """Turn a pasted server command into a recipe.

    Reads a command of trtllm-serve, vllm serve or sglang, the docker line or script around it, a Compose file, a
    Kubernetes manifest, a systemd unit, a Dockerfile or an options file: as text, from a file, or with - from stdin.
    Prints the recipe, with a comment for everything that it cannot carry.
    """
    from trtnemo.launch.pasted.command import read_command
    from trtnemo.launch.pasted.to_recipe import recipe_text

    click.echo(recipe_text(read_command(pasted_text(command), server_version, part), description), nl=False)

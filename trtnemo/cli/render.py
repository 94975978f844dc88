"""`trtnemo render`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trtnemo.cli.options import set_option
from trtnemo.launch.render.names import form_names

NODE_SIZES = {"gb200": 4, "gb300": 4, "dgx-spark": 1}


@click.command()
@click.option("--recipe", required=True, help="Name or path of a recipe.")
@click.option(
    "--as",
    "form",
    type=click.Choice(form_names()),
    default="command",
    show_default=True,
    help="What to write.",
)
@click.option(
    "--devices-per-node", type=click.IntRange(1), help="GPUs of one Slurm node.  [default: by hardware, else 8]"
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, instead of stdout.")
@click.option(
    "--validate",
    "is_validated",
    is_flag=True,
    help="Check the manifest, without a cluster; what is found goes to stderr, and errors exit with 1.",
)
@set_option
@click.pass_context
def render(
    context: click.Context,
    recipe: str,
    form: Any,
    devices_per_node: int | None,
    output: Path | None,
    is_validated: bool,
    settings: tuple[str, ...],
) -> None:
    """Write a recipe as a command, for Docker, Compose, Slurm or a cluster, or for a client.

    Clients are written for any recipe, all else for those of external servers. `kubernetes`, `leaderworkerset` and
    `dynamo` are manifests, `disaggregated` is for TensorRT-LLM in halves; what is not for every cluster stands under
    `cluster` in the recipe. The same recipe always gives the same text. Secrets are named, never written.
    """
    from trtnemo.errors import UsageError
    from trtnemo.launch.bundle.bundle import require_accepted
    from trtnemo.launch.render.write import is_manifest, start_for
    from trtnemo.launch.render.write import render as render_form
    from trtnemo.recipe import load_recipe
    from trtnemo.recipe.source import recipe_stem

    loaded = load_recipe(recipe, settings)
    invocation = start_for(form, loaded)
    if invocation is not None:
        require_accepted(invocation, loaded)
    node = devices_per_node or NODE_SIZES.get(loaded.hardware.name, 8)
    text = render_form(form, recipe_stem(recipe), loaded, invocation, node)
    if is_validated and not is_manifest(form):
        raise UsageError(
            f"'{form}' is no manifest",
            where="--validate",
            remedy="--as kubernetes is one; `trtnemo check --command` reads the others",
        )
    passed = _validate(text) if is_validated else True
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from None
    if not passed:
        context.exit(1)


def _validate(text: str) -> bool:
    """Tell what is wrong with a manifest, and return whether a cluster would take it."""
    from trtnemo.findings import errors
    from trtnemo.launch.manifests.validate import validate

    findings = validate(text)
    for finding in findings:
        click.echo(f"{finding.severity}: {finding.subject} [{finding.rule}]: {finding.text}", err=True)
    click.echo(f"validated: {len(errors(findings))} errors, {len(findings)} findings", err=True)
    return not errors(findings)

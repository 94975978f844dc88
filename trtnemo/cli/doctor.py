"""`trtnemo doctor`."""

from __future__ import annotations

import dataclasses

import click

from trtnemo.cli.options import json_option, print_json


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what this machine can build and serve, and why not the rest.

    Three words are kept apart: compiled (a compiler took it), interpreted (its numbers were checked on a CPU), run (on
    the real device).
    """
    from trtnemo.launch.machine import examine_machine, examine_recipes, proof_levels

    machine, verdicts, levels = examine_machine(), examine_recipes(), proof_levels()
    if as_json:
        print_json(
            {
                "machine": dataclasses.asdict(machine),
                "recipes": [dataclasses.asdict(verdict) for verdict in verdicts],
                "proof": [dataclasses.asdict(level) for level in levels],
            }
        )
        return
    click.echo("This machine")
    for name, value in dataclasses.asdict(machine).items():
        if name != "packages":
            click.echo(f"  {name.replace('_', ' ') + ':':<22} {value}")
    for name, version in machine.packages.items():
        click.echo(f"  {name + ':':<22} {version or 'not installed'}")
    click.echo("\nRecipes")
    for verdict in verdicts:
        click.echo(f"  {verdict.recipe:<20} build: {verdict.build}\n  {'':<20} serve: {verdict.serve}")
    click.echo("\nWhat has been proven, and how")
    for level in levels:
        click.echo(f"  {level.level + ':':<22} {level.what}")

"""`trtnemo doctor`."""

from __future__ import annotations

import dataclasses

import click

from trtnemo.cli.options import json_option, print_json


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Show what this machine can build and serve, and what is missing for the rest.

    Three words are kept apart: compiled (a compiler took it), interpreted (its numbers were checked on a CPU), run (on
    the real device).
    """
    from trtnemo.doctor import examine_recipes, installed_packages, proof_levels
    from trtnemo.machine import examine_machine

    machine, packages = dataclasses.asdict(examine_machine()), installed_packages()
    verdicts, levels = examine_recipes(), proof_levels()
    if as_json:
        print_json(
            {
                "machine": {**machine, "packages": packages},
                "recipes": [dataclasses.asdict(verdict) for verdict in verdicts],
                "proof": [dataclasses.asdict(level) for level in levels],
            }
        )
        return
    click.echo("This machine")
    for name, value in machine.items():
        click.echo(f"  {name.replace('_', ' ') + ':':<22} {value}")
    for name, version in packages.items():
        click.echo(f"  {name + ':':<22} {version or 'not installed'}")
    click.echo("\nRecipes")
    for verdict in verdicts:
        click.echo(f"  {verdict.recipe:<20} build: {verdict.build}\n  {'':<20} serve: {verdict.serve}")
    click.echo("\nWhat has been proven, and how")
    for level in levels:
        click.echo(f"  {level.level + ':':<22} {level.what}")

"""`trtnemo plan`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import json_option, print_json, set_option
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.plan.plan import Plan


@click.command()
@click.option("--recipe", help="Name or path of a recipe.")
@click.option("--checkpoint", help="Directory or hub id, instead of the recipe's checkpoint; its weights are not read.")
@click.option(
    "--hardware",
    metavar="NAME",
    help="Device instead of the recipe's: b200, h100, ...; h100x2 gives a count. Others: --set hardware.memory_mib.",
)
@click.option(
    "--acceptance", type=click.FloatRange(0, 1), help="Share of drafts accepted, each.  [default: 0.735, as published]"
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Write the frontier as .png, .svg, .pdf.")
@click.option("--list-hardware", is_flag=True, help="List the devices, with the sources of their numbers.")
@set_option
@json_option
@click.pass_context
def plan(
    context: click.Context,
    recipe: str | None,
    checkpoint: str | None,
    hardware: str | None,
    acceptance: float | None,
    plot: Path | None,
    list_hardware: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Plan a recipe's memory to the byte, and give an upper bound of its speed.

    From the recipe and the checkpoint's config, no weights: what each device holds, what one sequence costs, how many
    of which length fit, and the best speed that bandwidth and arithmetic allow. Exits 1 when it does not fit.
    """
    if list_hardware:
        _list_hardware(as_json)
        return
    if recipe is None:
        raise UsageError("give --recipe", remedy="`trtnemo recipes list` shows them")
    if acceptance is not None and math.isnan(acceptance):
        raise UsageError("--acceptance must be a number from 0 to 1")
    made = plan_recipe(recipe, settings, checkpoint, hardware, acceptance)
    if plot is not None:
        from trtnemo.plan.plot import plot_frontier

        plot_frontier(made, plot)
    if as_json:
        from trtnemo.plan.as_json import plan_json

        print_json(plan_json(made))
    else:
        from trtnemo.cli.views.plan import print_plan

        print_plan(made)
    if made.verdict.kind == "no":
        context.exit(1)


def plan_recipe(
    recipe: str, settings: tuple[str, ...], checkpoint: str | None, hardware: str | None, acceptance: float | None
) -> Plan:
    """Load a recipe and plan it; raises TrtnemoError."""
    from trtnemo.bench.calibrate import calibrated_cpu
    from trtnemo.launch.plan_input import to_deployment
    from trtnemo.plan.hardware import STATED, parse_hardware, recipe_device
    from trtnemo.plan.network import find_network
    from trtnemo.plan.plan import make_plan
    from trtnemo.plan.roofline import ACCEPTANCE
    from trtnemo.recipe import load_recipe

    loaded = load_recipe(recipe, settings)
    if hardware is not None:
        name, count = parse_hardware(hardware)
        # what the recipe's file states is of its own device, what --set says is of this one
        foreign = {
            field: None for field in STATED if not any(text.startswith(f"hardware.{field}=") for text in settings)
        }
        changed = {**foreign, "name": name, "count": count or loaded.hardware.count}
        loaded = loaded.model_copy(update={"hardware": loaded.hardware.model_copy(update=changed)})
    # our runtime's own rates: numpy's would give bounds that it exceeds
    device = recipe_device(loaded.hardware, calibrated_cpu if loaded.runtime == "cpu" else None)
    if checkpoint is not None:
        loaded = loaded.model_copy(update={"checkpoint": checkpoint, "revision": None})
    network = find_network(loaded.checkpoint, loaded.revision)
    deployment = to_deployment(loaded, network)
    return make_plan(network, deployment, device, ACCEPTANCE if acceptance is None else acceptance)


def _list_hardware(as_json: bool) -> None:
    from trtnemo.plan.hardware import catalogue_names, find_device

    devices = [find_device(name) for name in catalogue_names()]
    if as_json:
        print_json([device.model_dump(mode="json") for device in devices])
        return
    for device in devices:
        peaks = ", ".join(f"{kind} {value:g}" for kind in ("bf16", "fp8", "fp4") if (value := getattr(device, kind)))
        click.echo(f"{device.name}: {device.title}, {device.memory_mib:,} MiB, {device.bandwidth / 1e9:,.0f} GB/s")
        click.echo(f"  tera operations a second: {peaks}\n  {device.source}")

"""`render --as slurm`: a batch script; several nodes go through the server's own launcher."""

from __future__ import annotations

import math

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.forms.command import environment_lines
from trtnemo.launch.render.shell_text import command_text, header, option_lines
from trtnemo.launch.render.words import here, server_words
from trtnemo.launch.servers.registry import all_servers


def render_slurm(source: Source) -> str:
    """Return an sbatch script for as many nodes as the recipe's devices need.

    Raises RecipeError where the devices do not fill whole nodes, or a server has no launcher for several nodes here.
    """
    invocation, devices_per_node = source.invocation, source.devices_per_node
    devices = source.recipe.hardware.count
    nodes = math.ceil(devices / devices_per_node)
    if nodes > 1 and devices % devices_per_node:
        raise RecipeError(f"{devices} devices do not fill {nodes} nodes of {devices_per_node}")
    launcher = invocation.surface.dialect.launcher
    if nodes > 1 and launcher is None:
        able = ", ".join(name for name, server in all_servers().items() if server.dialect.launcher is not None)
        raise RecipeError(
            f"{invocation.server} over {nodes} nodes has no launcher here",
            remedy=f"Give --devices-per-node, or use a recipe for {able}",
        )
    per_node = min(devices, devices_per_node)
    words = server_words(invocation, here)
    launch, tasks = ["srun"], 1
    if nodes > 1 and launcher is not None:
        launch, tasks = ["srun --mpi=pmix", launcher], devices
    name = "".join(character if character.isalnum() or character in "-_" else "-" for character in source.name)
    directives = (
        "#!/bin/bash\n"
        f"#SBATCH --job-name=trtnemo-{name}\n"
        f"#SBATCH --nodes={nodes}\n"
        f"#SBATCH --ntasks={tasks}\n"
        f"#SBATCH --ntasks-per-node={math.ceil(tasks / nodes)}\n"
        f"#SBATCH --gpus-per-node={per_node}\n"
    )
    body = header(source.name, invocation) + environment_lines(invocation)
    return directives + body + command_text([" ".join(launch), *option_lines(words)])


FORM = Form(render_slurm)

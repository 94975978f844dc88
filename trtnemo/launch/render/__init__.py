"""One server start, written for a shell, Docker, Compose, Slurm, OpenCode or NeMo Evaluator."""

from __future__ import annotations

from typing import Literal, get_args

from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe

Form = Literal["command", "docker", "compose", "slurm", "opencode", "evaluator"]
FORMS: tuple[str, ...] = get_args(Form)


def render(form: Form, recipe_name: str, recipe: AnyRecipe, invocation: Invocation, devices_per_node: int = 8) -> str:
    """Return the text of one form; the same recipe always gives the same text. Raises RecipeError where it has none."""
    from trtnemo.launch.render.clients import render_evaluator, render_opencode
    from trtnemo.launch.render.command import render_command
    from trtnemo.launch.render.compose import render_compose
    from trtnemo.launch.render.docker import render_docker
    from trtnemo.launch.render.slurm import render_slurm

    if form == "command":
        return render_command(recipe_name, invocation)
    if form == "docker":
        return render_docker(recipe_name, invocation)
    if form == "compose":
        return render_compose(recipe_name, invocation)
    if form == "slurm":
        return render_slurm(recipe_name, recipe, invocation, devices_per_node)
    return render_opencode(recipe, invocation) if form == "opencode" else render_evaluator(recipe, invocation)


__all__ = ["FORMS", "Form", "render"]

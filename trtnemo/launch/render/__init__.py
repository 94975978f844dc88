"""One server start, written for a shell, Docker, Compose or Slurm, or a server for one of its clients."""

from __future__ import annotations

from typing import Literal, get_args

from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe, ExternalRecipe

Form = Literal["command", "docker", "compose", "slurm", "opencode", "codex", "claude-code", "evaluator"]
FORMS: tuple[str, ...] = get_args(Form)
# clients of any server, ours too: they need no external start
CLIENTS = ("opencode", "codex", "claude-code")


def start_for(form: Form, recipe: AnyRecipe) -> Invocation | None:
    """Return the start that a form is written from, None for a client of our own server; raises RecipeError."""
    return None if form in CLIENTS and not isinstance(recipe, ExternalRecipe) else to_invocation(recipe)


def render(
    form: Form, recipe_name: str, recipe: AnyRecipe, invocation: Invocation | None, devices_per_node: int = 8
) -> str:
    """Return the text of one form; the same recipe always gives the same text. Raises RecipeError where it has none."""
    from trtnemo.launch.render.command import render_command
    from trtnemo.launch.render.compose import render_compose
    from trtnemo.launch.render.docker import render_docker
    from trtnemo.launch.render.slurm import render_slurm

    if invocation is None or form in (*CLIENTS, "evaluator"):
        return _for_client(form, recipe, invocation)
    if form == "docker":
        return render_docker(recipe_name, invocation)
    if form == "compose":
        return render_compose(recipe_name, invocation)
    if form == "slurm":
        return render_slurm(recipe_name, recipe, invocation, devices_per_node)
    return render_command(recipe_name, invocation)


def _for_client(form: Form, recipe: AnyRecipe, invocation: Invocation | None) -> str:
    from trtnemo.launch.render.clients.claude_code import render_claude_code
    from trtnemo.launch.render.clients.codex import render_codex
    from trtnemo.launch.render.clients.endpoint import client_endpoint
    from trtnemo.launch.render.clients.evaluator import render_evaluator
    from trtnemo.launch.render.clients.opencode import render_opencode

    endpoint = client_endpoint(recipe, invocation)
    if form == "opencode":
        return render_opencode(endpoint)
    if form == "codex":
        return render_codex(endpoint)
    return render_claude_code(endpoint) if form == "claude-code" else render_evaluator(recipe, endpoint)


__all__ = ["CLIENTS", "FORMS", "Form", "render", "start_for"]

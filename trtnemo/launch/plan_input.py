"""From any recipe to the deployment that a plan is for, with each server's own defaults where the recipe is silent."""

from __future__ import annotations

from trtnemo.backends.runtime import find_runtime
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.plan.deployment import Deployment, checked_deployment
from trtnemo.plan.network import Network
from trtnemo.recipe import AnyRecipe, ExternalRecipe


def to_deployment(recipe: AnyRecipe, network: Network) -> Deployment:
    """Return the deployment of a recipe; raises RecipeError where recipe and server contradict each other."""
    if not isinstance(recipe, ExternalRecipe):
        return find_runtime(recipe.runtime).deployment(recipe, network)
    invocation, server = to_invocation(recipe), find_server(recipe.runtime)
    fields = {"version": invocation.version, "memory": server.memory, **server.deployment(invocation, network)}
    return checked_deployment(recipe, network.name, network.config, fields)

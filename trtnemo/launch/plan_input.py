"""From any recipe to the deployment that a plan is for, with each server's own defaults where the recipe is silent."""

from __future__ import annotations

from trtnemo.backends.runtime import find_runtime
from trtnemo.errors import UsageError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.plan.deployment import Deployment, checked_deployment
from trtnemo.plan.hardware import Device, recipe_device
from trtnemo.plan.network import Network
from trtnemo.recipe import AnyRecipe, ExternalRecipe


def to_deployment(recipe: AnyRecipe, network: Network) -> Deployment:
    """Return the deployment of a recipe; raises RecipeError where recipe and server contradict each other."""
    if not isinstance(recipe, ExternalRecipe):
        return find_runtime(recipe.runtime).deployment(recipe, network)
    invocation, server = to_invocation(recipe), find_server(recipe.runtime)
    given = server.deployment(invocation, network)
    sizes = server.sizes_on(_device(recipe), invocation)
    fields = {"version": invocation.version, "memory": server.memory, **given, **sizes}
    return checked_deployment(recipe, network.name, network.config, fields)


def _device(recipe: AnyRecipe) -> Device | None:
    """Return the recipe's device, or None where it names one that nobody knows, or this machine's CPU by default."""
    if recipe.hardware.name == "cpu":
        return None
    try:
        return recipe_device(recipe.hardware)
    except UsageError:
        return None

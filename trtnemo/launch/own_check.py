"""A recipe of our own runtimes compared with what can be known before a build: fields, builder, device, memory."""

from __future__ import annotations

from trtnemo.backends.tensorrt.lower.targets import Target
from trtnemo.checkpoint import WeightFormat
from trtnemo.engine.own import require_own
from trtnemo.errors import RecipeError
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.plan import judge_deployment
from trtnemo.recipe import AnyRecipe, TensorrtRecipe
from trtnemo.trt.element import Element


def check_own(recipe: AnyRecipe) -> tuple[str, ...]:
    """Return what was checked, a sentence each; raises RecipeError or MachineError for the first that cannot work."""
    own = require_own(recipe)
    checked = [f"runtime '{own.runtime}' honours every field of the recipe"]
    if isinstance(own, TensorrtRecipe):
        checked += check_tensorrt(own)
    return tuple(checked)


def check_tensorrt(recipe: TensorrtRecipe) -> list[str]:
    """Return what was checked of a recipe whose plans are to be built; raises RecipeError or MachineError."""
    target = Target.from_recipe(recipe)
    network = find_network(recipe.checkpoint, recipe.revision)
    target.require(_formats(network), [Element.BFLOAT16])
    if recipe.hardware.count > 1:
        raise RecipeError(
            f"'hardware.count' is {recipe.hardware.count}: our TensorRT runtime uses one device", remedy="Set it to 1"
        )
    named = find_device(recipe.hardware.name)
    verdict = judge_deployment(network, to_deployment(recipe, network), named)
    if verdict.kind != "fits":  # every slot is allocated whole when the engine is loaded
        raise RecipeError(verdict.sentence, where="hardware", remedy="`trtnemo plan --recipe` shows what would fit")
    library, device = target.library, target.device
    checked = [f"{library.product} {library.version} compiles for compute capability {device}", verdict.sentence]
    if named.compute_capability != device:
        has = named.compute_capability or "none"
        checked.append(f"note: {named.title} has {has}, these plans run on {device} only")
    return checked


def _formats(network: Network) -> set[WeightFormat]:
    return {network.quantization.uniform, *network.quantization.layers.values()}

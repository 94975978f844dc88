"""The device that a second opinion is asked for: a recipe's own, or one of the catalogue."""

from __future__ import annotations

import math

from trtnemo.errors import UsageError
from trtnemo.launch.installed.second_opinion import StatedDevice
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.plan.hardware import Device, catalogue_names, find_device, recipe_device
from trtnemo.recipe import AnyRecipe

_DEFAULT = "b200"


def stated_for_recipe(recipe: AnyRecipe, invocation: Invocation) -> tuple[StatedDevice, str]:
    """Return the device of a recipe, and its name; a GPU of the catalogue where the recipe names none."""
    if "hardware" in recipe.model_fields_set and recipe.hardware.name != "cpu":
        return _stated(recipe_device(recipe.hardware), recipe.hardware.count)
    return stated_by_capability(None, invocation)


def stated_by_capability(capability: str | None, invocation: Invocation) -> tuple[StatedDevice, str]:
    """Return the first device of the catalogue with a compute capability, as many as the start is cut into.

    Raises UsageError where the catalogue has none.
    """
    sizes = find_server(invocation.server).parallel_sizes(invocation)
    count = math.prod(size for size in sizes if isinstance(size, int) and size > 0)
    if capability is None:
        return _stated(find_device(_DEFAULT), count)
    for name in catalogue_names():
        device = find_device(name) if name != "cpu" else None
        if device is not None and device.compute_capability == capability:
            return _stated(device, count)
    raise UsageError(
        f"no device of the catalogue has compute capability {capability}",
        where="--installed",
        remedy="Check a recipe with hardware.memory_mib and hardware.compute_capability",
    )


def _stated(device: Device, count: int) -> tuple[StatedDevice, str]:
    capability = device.compute_capability or "10.0"
    return StatedDevice(capability, device.memory_bytes, count), f"{count}x {device.title}"

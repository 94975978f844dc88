"""What a server's start checks say of a recipe: those of `plan`, for `check`."""

from __future__ import annotations

from trtnemo.checkpoint.family.releases import RELEASES
from trtnemo.checkpoint.hub.source import local_directory
from trtnemo.errors import CheckpointError, TrtnemoError
from trtnemo.findings import Finding
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.deployment import require_divisible
from trtnemo.plan.fit import stage_fits
from trtnemo.plan.hardware import recipe_device
from trtnemo.plan.network import find_network
from trtnemo.plan.server_memory import StartFault
from trtnemo.plan.weights import weight_bytes
from trtnemo.recipe import AnyRecipe


def start_findings(recipe: AnyRecipe) -> list[Finding]:
    """Return a finding for each start check that stops, or may stop, the server on the recipe's devices.

    None where the recipe names no devices, where its network is known to the hub alone, and where it cannot be planned.
    """
    if "hardware" not in recipe.model_fields_set or recipe.hardware.name == "cpu" or not _is_here(recipe):
        return []
    try:
        faults = _faults(recipe)
    except TrtnemoError:
        return []
    return [
        Finding(
            "error" if fault.stops else "warning",
            fault.name,
            "hardware",
            f"{fault.sentence} [{fault.source}]",
            fault.remedy[:1].upper() + fault.remedy[1:],
        )
        for fault in faults
    ]


def _is_here(recipe: AnyRecipe) -> bool:
    """Return whether config and map are on this machine: a check fetches nothing."""
    try:
        is_local = local_directory(recipe.checkpoint) is not None
    except CheckpointError:
        return False
    return is_local or (recipe.revision is None and recipe.checkpoint in RELEASES)


def _faults(recipe: AnyRecipe) -> list[StartFault]:
    network = find_network(recipe.checkpoint, recipe.revision)
    deployment, device = to_deployment(recipe, network), recipe_device(recipe.hardware)
    if not deployment.memory.start_checks:
        return []
    require_divisible(deployment, network.config)
    weights = weight_bytes(network.tensors, network.config, deployment)
    found = [fault for fit in stage_fits(network, deployment, device, weights) for fault in fit.start_faults()]
    return list({fault.name: fault for fault in reversed(found)}.values())

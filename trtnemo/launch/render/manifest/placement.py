"""Which nodes a pod may run on, and what it asks of one."""

from __future__ import annotations

import re
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import ExternalRecipe
from trtnemo.recipe.cluster import Role

GPU = "nvidia.com/gpu"
# Labels that GPU feature discovery gives to nodes, as NVIDIA's recipes for Dynamo name them.
_NODES = {
    "b200": {"nvidia.com/gpu.product": "NVIDIA-B200"},
    "h200": {"nvidia.com/gpu.product": "NVIDIA-H200"},
    "gb200": {"nvidia.com/gpu.product": "NVIDIA-GB200", "kubernetes.io/arch": "arm64"},
}
# NVIDIA's recipes for this family: one GPU, and several
_MEMORY = ("128Gi", "256Gi")
_UNITS = {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi"}


def gpus_of(recipe: ExternalRecipe, start: Invocation) -> int:
    """Return the GPUs of one server; raises RecipeError where the recipe's hardware has another number."""
    server = find_server(start.server)
    tensor, pipeline = server.parallel_sizes(start)
    gpus = int(tensor) * int(pipeline) * int(server.replicas(start))
    if "hardware" in recipe.model_fields_set and recipe.hardware.count != gpus:
        raise RecipeError(
            f"'hardware.count' is {recipe.hardware.count}, and the server uses {gpus} GPUs by its parallel sizes",
            where="the recipe",
            remedy="A pod takes whole GPUs for itself: make the two equal",
        )
    return gpus


def require_whole(half: str | None, role: Role, gpus: int) -> None:
    """Raise RecipeError where the recipe gives the workers of a half another number of GPUs than they use."""
    if role.gpus is not None and role.gpus != gpus:
        raise RecipeError(
            f"'cluster.disaggregation.{half}.gpus' is {role.gpus}, and a server uses {gpus} by its parallel sizes",
            where="the recipe",
            remedy="Both halves have the recipe's parallel sizes: leave 'gpus' out, or make it equal",
        )


def gpus_of_a_pod(gpus: int, nodes: int) -> int:
    """Return the GPUs of each pod of one server; raises RecipeError where they do not share out."""
    if gpus % nodes:
        raise RecipeError(f"'cluster.nodes' is {nodes}, over which {gpus} GPUs do not share out", where="the recipe")
    return gpus // nodes


def node_choice(recipe: ExternalRecipe) -> tuple[dict[str, Any], list[str]]:
    """Return the part of a pod that chooses its node, and what is to be known of it."""
    known = _NODES.get(recipe.hardware.name, {})
    selector = {**known, **recipe.cluster.node_selector}
    pod: dict[str, Any] = {"nodeSelector": selector} if selector else {}
    pod["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    notes = []
    if not selector:
        notes = [f"No label of nodes with {recipe.hardware.name} is known here: name one in 'cluster.node_selector'"]
    return pod, notes


def resources(recipe: ExternalRecipe, gpus: int) -> dict[str, Any]:
    """Return what a container asks for and may use; weights pass through the page cache, which no limit holds back."""
    memory = recipe.cluster.memory or _MEMORY[gpus > 1]
    return {"requests": {"memory": memory, GPU: str(gpus)}, "limits": {GPU: str(gpus)}}


def quantity(size: str | None) -> str:
    """Return a size of Docker, whose units are powers of two, as Kubernetes writes it; 16 GiB where none is given."""
    match = re.fullmatch(r"(\d+)([bkmgBKMG]?)", size or "16g")
    return f"{match[1]}{_UNITS[match[2].lower()]}" if match else "16Gi"

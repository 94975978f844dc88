"""From a recipe to the deployment that a plan is for, with each server's own defaults where the recipe is silent."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from trtnemo.errors import RecipeError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.network import Network
from trtnemo.plan.server_memory import NATIVE_CPU, NATIVE_DEVICE
from trtnemo.recipe import AnyRecipe, CpuRecipe, ExternalRecipe, TensorrtRecipe
from trtnemo.validation import first_fault


def to_deployment(recipe: AnyRecipe, network: Network) -> Deployment:
    """Return the deployment of a recipe; raises RecipeError where recipe and server contradict each other."""
    shared: dict[str, Any] = {
        "server": recipe.runtime,
        "device": recipe.hardware.name,
        "devices": recipe.hardware.count,
        "tensor": recipe.parallel.tensor,
        "expert": recipe.parallel.expert,
        "pipeline": recipe.parallel.pipeline,
        "data": recipe.parallel.data,
        "draft_tokens": recipe.speculation.draft_tokens,
    }
    if isinstance(recipe, ExternalRecipe):
        invocation, server = to_invocation(recipe), find_server(recipe.runtime)
        shared |= {"version": invocation.version, "memory": server.memory, **server.deployment(invocation, network)}
    else:
        shared |= {
            "max_batch_size": recipe.limits.max_batch_size,
            "max_num_tokens": recipe.limits.max_num_tokens,
            "max_seq_len": recipe.limits.max_seq_len,
            "memory": NATIVE_CPU if isinstance(recipe, CpuRecipe) else NATIVE_DEVICE,
            "kv_dtype": _own_cache_type(recipe),
            **_native_types(recipe),
        }
    return _checked(shared, network)


def _own_cache_type(recipe: AnyRecipe) -> str:
    dtype = recipe.kv_cache.dtype
    if isinstance(recipe, TensorrtRecipe):
        return recipe.tensorrt.matmul_dtype if dtype == "auto" else dtype
    return "float16" if _is_native(recipe) and dtype == "auto" else "float32" if dtype == "auto" else dtype


def _native_types(recipe: AnyRecipe) -> dict[str, Any]:
    """Return what our CPU runtime holds weights and states in; `auto` is native, as it is where there is a compiler."""
    if not isinstance(recipe, CpuRecipe):
        return {}
    return {"packs": _is_native(recipe), "ssm_dtype": recipe.cpu.ssm_state}


def _is_native(recipe: AnyRecipe) -> bool:
    return isinstance(recipe, CpuRecipe) and recipe.cpu.lowering != "torch"


def _checked(values: dict[str, Any], network: Network) -> Deployment:
    try:
        deployment = Deployment(**values)
    except ValidationError as error:
        fault = first_fault(error)
        raise RecipeError(f"{fault.key} {fault.message}, not {fault.given!r}", where="the recipe") from None
    if deployment.draft_tokens and not network.config.has_mtp:
        raise RecipeError(
            f"asks for {deployment.draft_tokens} drafts, but {network.name} has no draft head",
            where="the recipe",
            remedy="Set speculation.draft_tokens=0, and switch drafts off in the server's own section",
        )
    return deployment

"""From a recipe to the deployment that a plan is for, with each server's own defaults where the recipe is silent.

Defaults: TensorRT-LLM's from its record (LLM arguments); vLLM's for devices of 70 GiB and more; SGLang's running
requests and chunk are chosen by it at start, and taken here as 48 and 8,192 (inferred).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from trtnemo.errors import RecipeError
from trtnemo.launch.from_recipe import is_external, to_invocation
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.settings import effective_settings
from trtnemo.plan.deployment import CacheType, Deployment, StateType
from trtnemo.plan.network import Network
from trtnemo.recipe import AnyRecipe, CpuRecipe, TensorrtRecipe

_CACHE_TYPES: dict[str, CacheType] = {
    "fp8": "fp8", "fp8_e4m3": "fp8", "bfloat16": "bfloat16", "bf16": "bfloat16", "float16": "float16",
    "float32": "float32",
}  # fmt: skip
_STATE_TYPES: dict[str, StateType] = {"float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}


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
    if is_external(recipe):
        invocation = to_invocation(recipe)
        readers = {"trtllm": _trtllm, "vllm": _vllm, "sglang": _sglang}
        shared |= {"version": invocation.version, **readers[invocation.server](invocation, network)}
    else:
        shared |= {
            "max_batch_size": recipe.limits.max_batch_size,
            "max_num_tokens": recipe.limits.max_num_tokens,
            "max_seq_len": recipe.limits.max_seq_len,
            "kv_dtype": _own_cache_type(recipe),
            **_native_types(recipe),
        }
    return _checked(shared, network)


def _own_cache_type(recipe: AnyRecipe) -> str:
    dtype = recipe.kv_cache.dtype
    if isinstance(recipe, TensorrtRecipe):
        return recipe.tensorrt.products if dtype == "auto" else dtype
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
        first = error.errors(include_url=False)[0]
        key, message = str(first["loc"][0]), first["msg"].replace("Input should", "must")
        raise RecipeError(f"{key} {message}, not {first['input']!r}", where="the recipe") from None
    if deployment.draft_tokens and not network.config.has_mtp:
        raise RecipeError(
            f"asks for {deployment.draft_tokens} drafts, but {network.name} has no draft head",
            where="the recipe",
            remedy="Set speculation.draft_tokens=0, and switch drafts off in the server's own section",
        )
    return deployment


def _trtllm(invocation: Invocation, network: Network) -> dict[str, Any]:
    settings = effective_settings(invocation)
    speculative = settings.get("speculative_config")
    speculative = speculative if isinstance(speculative, Mapping) else {}
    drafts = next(
        (speculative[key] for key in ("num_nextn_predict_layers", "max_draft_len") if speculative.get(key)), 0
    )
    return {
        "tensor": settings.get("tensor_parallel_size") or 1,
        "expert": settings.get("moe_expert_parallel_size") or 1,
        "pipeline": settings.get("pipeline_parallel_size") or 1,
        "attention_dp": bool(settings.get("enable_attention_dp")),
        "max_batch_size": settings.get("max_batch_size") or 2048,
        "max_num_tokens": settings.get("max_num_tokens") or 8192,
        "max_seq_len": settings.get("max_seq_len") or network.config.max_position_embeddings,
        "kv_dtype": _cache_type(settings.get("kv_cache_config.dtype"), network),
        "ssm_dtype": _state_type(settings.get("kv_cache_config.mamba_ssm_cache_dtype")),
        "draft_tokens": drafts,
        "memory_fraction": settings.get("kv_cache_config.free_gpu_memory_fraction") or 0.9,
        "block_reuse": bool(settings.get("kv_cache_config.enable_block_reuse")),
        "graph_padding": bool(settings.get("cuda_graph_config.enable_padding")),
    }


def _vllm(invocation: Invocation, network: Network) -> dict[str, Any]:
    speculative = invocation.option("--speculative-config") or {}
    drafts = speculative.get("num_speculative_tokens", 0) if isinstance(speculative, Mapping) else 0
    tensor, data = (_count(invocation, name, 1) for name in ("--tensor-parallel-size", "--data-parallel-size"))
    return {
        "tensor": tensor,
        "data": data,
        "expert": tensor * data if invocation.option("--enable-expert-parallel") else 1,
        "pipeline": invocation.option("--pipeline-parallel-size") or 1,
        "max_batch_size": invocation.option("--max-num-seqs") or 1024,
        "max_num_tokens": invocation.option("--max-num-batched-tokens") or 8192,
        "max_seq_len": invocation.option("--max-model-len") or network.config.max_position_embeddings,
        "kv_dtype": _cache_type(invocation.option("--kv-cache-dtype"), network),
        "ssm_dtype": _state_type(invocation.option("--mamba-ssm-cache-dtype")),
        "draft_tokens": drafts,
        "memory_fraction": invocation.option("--gpu-memory-utilization") or 0.9,
        "block_reuse": bool(invocation.option("--enable-prefix-caching")),
    }


def _sglang(invocation: Invocation, network: Network) -> dict[str, Any]:
    tensor, data = (_count(invocation, name, 1) for name in ("--tensor-parallel-size", "--data-parallel-size"))
    attention_dp, shared = bool(invocation.option("--enable-dp-attention")), 1
    if attention_dp:
        # its replicas lie inside the tensor parallel group, and share requests and prompt chunk out among them
        if data != tensor:
            raise RecipeError(
                f"attention over {data} of {tensor} devices is not planned",
                where="the recipe",
                remedy="Give --data-parallel-size as large as --tensor-parallel-size, or plan without dp attention",
            )
        data, shared = 1, tensor
    context = _count(invocation, "--context-length", network.config.max_position_embeddings)
    chunk = _count(invocation, "--chunked-prefill-size", 8192)
    return {
        "tensor": tensor,
        "data": data,
        "attention_dp": attention_dp,
        "expert": invocation.option("--expert-parallel-size") or 1,
        "pipeline": invocation.option("--pipeline-parallel-size") or 1,
        "max_batch_size": max(_count(invocation, "--max-running-requests", 48) // shared, 1),
        "max_num_tokens": context if chunk == -1 else max(chunk // shared, 1),
        "max_seq_len": context,
        "kv_dtype": _cache_type(invocation.option("--kv-cache-dtype"), network),
        "ssm_dtype": _state_type(invocation.option("--mamba-ssm-dtype")),
        "draft_tokens": _sglang_drafts(invocation),
        "memory_fraction": invocation.option("--mem-fraction-static") or 0.85,
        "block_reuse": not invocation.option("--disable-radix-cache"),
    }


def _sglang_drafts(invocation: Invocation) -> int:
    if not invocation.option("--speculative-algorithm"):
        return 0
    # its draft tokens are all that one verification takes, the token before the drafts among them
    tokens = _count(invocation, "--speculative-num-draft-tokens", 0)
    return tokens - 1 if tokens else _count(invocation, "--speculative-num-steps", 3)


def _count(invocation: Invocation, name: str, default: int) -> int:
    value = invocation.option(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise RecipeError(f"{name} must be a whole number, not {value!r}", where="the recipe")
    return value or default


def _cache_type(name: Any, network: Network) -> CacheType:
    """Return the type of keys and values; `auto` follows the checkpoint's map."""
    known = _CACHE_TYPES.get(str(name).lower())
    return known or ("fp8" if network.quantization.fp8_kv_cache else "bfloat16")


def _state_type(name: Any) -> StateType:
    """Return the type of the Mamba state; float32 where nothing else is said, as every release's config has it."""
    return _STATE_TYPES.get(str(name).lower(), "float32")

"""From a recipe to the deployment that a plan is for, with each server's own defaults where the recipe is silent.

Defaults: TensorRT-LLM's from its record (LLM arguments); vLLM's for devices of 70 GiB and more; SGLang's running
requests and chunk are chosen by it at start, and taken here as 48 and 8,192 (inferred).
"""

from __future__ import annotations

from typing import Any

from trtnemo.launch.invocation import Invocation
from trtnemo.launch.settings import effective_settings
from trtnemo.launch.translate import is_external, to_invocation
from trtnemo.plan.deployment import CacheType, Deployment, StateType
from trtnemo.plan.network import Network
from trtnemo.recipe import AnyRecipe

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
        "draft_tokens": recipe.speculation.draft_tokens if network.config.has_mtp else 0,
    }
    if not is_external(recipe):
        return Deployment(
            **shared,
            max_batch_size=recipe.limits.max_batch_size,
            max_num_tokens=recipe.limits.max_num_tokens,
            max_seq_len=recipe.limits.max_seq_len,
            kv_dtype="float32" if recipe.runtime == "cpu" else _cache_type(recipe.kv_cache.dtype, network),
        )
    invocation = to_invocation(recipe)
    readers = {"trtllm": _trtllm, "vllm": _vllm, "sglang": _sglang}
    return Deployment(**{**shared, "version": invocation.version, **readers[invocation.server](invocation, network)})


def _trtllm(invocation: Invocation, network: Network) -> dict[str, Any]:
    settings = effective_settings(invocation)
    speculative = settings.get("speculative_config") or {}
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
        "draft_tokens": drafts if network.config.has_mtp else 0,
        "memory_fraction": settings.get("kv_cache_config.free_gpu_memory_fraction") or 0.9,
        "block_reuse": bool(settings.get("kv_cache_config.enable_block_reuse")),
        "graph_padding": bool(settings.get("cuda_graph_config.enable_padding")),
    }


def _vllm(invocation: Invocation, network: Network) -> dict[str, Any]:
    speculative = invocation.option("--speculative-config") or {}
    drafts = speculative.get("num_speculative_tokens", 0) if isinstance(speculative, dict) else 0
    tensor, data = (invocation.option(name) or 1 for name in ("--tensor-parallel-size", "--data-parallel-size"))
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
        "draft_tokens": drafts if network.config.has_mtp else 0,
        "memory_fraction": invocation.option("--gpu-memory-utilization") or 0.9,
        "block_reuse": bool(invocation.option("--enable-prefix-caching")),
    }


def _sglang(invocation: Invocation, network: Network) -> dict[str, Any]:
    return {
        "tensor": invocation.option("--tensor-parallel-size") or 1,
        "data": invocation.option("--data-parallel-size") or 1,
        "expert": invocation.option("--expert-parallel-size") or 1,
        "max_batch_size": invocation.option("--max-running-requests") or 48,
        "max_num_tokens": invocation.option("--chunked-prefill-size") or 8192,
        "max_seq_len": invocation.option("--context-length") or network.config.max_position_embeddings,
        "kv_dtype": _cache_type(invocation.option("--kv-cache-dtype"), network),
        "ssm_dtype": _state_type(invocation.option("--mamba-ssm-dtype")),
        "draft_tokens": _sglang_drafts(invocation) if network.config.has_mtp else 0,
        "memory_fraction": invocation.option("--mem-fraction-static") or 0.85,
        "block_reuse": not invocation.option("--disable-radix-cache"),
    }


def _sglang_drafts(invocation: Invocation) -> int:
    if not invocation.option("--speculative-algorithm"):
        return 0
    tokens = invocation.option("--speculative-num-draft-tokens") or invocation.option("--speculative-num-steps")
    return tokens if isinstance(tokens, int) else 3


def _cache_type(name: Any, network: Network) -> CacheType:
    """Return the type of keys and values; `auto` follows the checkpoint's map."""
    known = _CACHE_TYPES.get(str(name).lower())
    return known or ("fp8" if network.quantization.fp8_kv_cache else "bfloat16")


def _state_type(name: Any) -> StateType:
    """Return the type of the Mamba state; float32 where nothing else is said, as every release's config has it."""
    return _STATE_TYPES.get(str(name).lower(), "float32")

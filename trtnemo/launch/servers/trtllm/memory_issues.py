"""Known issues of TensorRT-LLM with the family: Mamba states, caches, precisions."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue

_KV = "kv_cache_config"
_MISPLACED = (
    "mamba_ssm_cache_dtype",
    "kv_cache_dtype",
    "free_gpu_memory_fraction",
    "kv_cache_free_gpu_memory_fraction",
)


def _misplaced(case: Case) -> tuple[str, str] | None:
    found = [key for key in _MISPLACED if key in (case.invocation.llm_args or {})]
    return (found[0], "outside kv_cache_config") if found else None


def _default_batch(case: Case) -> tuple[str, str] | None:
    size = case.settings.get("max_batch_size")
    if size is None and case.is_nemotron_h:
        return "max_batch_size", "not given, so 2048"
    return None


def _rounding(case: Case) -> tuple[str, str] | None:
    if case.settings.get(f"{_KV}.mamba_ssm_stochastic_rounding") is not True:
        return None
    if case.settings.get(f"{_KV}.mamba_ssm_cache_dtype", "auto") == "float16":
        return None
    return f"{_KV}.mamba_ssm_stochastic_rounding", "stochastic rounding without mamba_ssm_cache_dtype float16"


def _reuse(case: Case) -> tuple[str, str] | None:
    if case.settings.get(f"{_KV}.enable_block_reuse") is True:
        return f"{_KV}.enable_block_reuse", "block reuse with a Mamba hybrid"
    return None


def _padding_head_room(case: Case) -> tuple[str, str] | None:
    share = case.settings.get(f"{_KV}.free_gpu_memory_fraction", 0.9)
    padded = case.settings.get("cuda_graph_config.enable_padding") is True
    if padded and isinstance(share, (int, float)) and share >= 0.9:
        return f"{_KV}.free_gpu_memory_fraction", f"CUDA-graph padding with {share} of the memory given to the cache"
    return None


def _before_blackwell(case: Case) -> tuple[str, str] | None:
    if case.is_nvfp4 and case.lacks_fp4:
        return "checkpoint", f"NVFP4 on compute capability {case.compute_capability}"
    return None


def _hopper_moe(case: Case) -> tuple[str, str] | None:
    backend = case.settings.get("moe_config.backend", "AUTO")
    if case.is_nvfp4 and case.is_hopper and backend not in ("AUTO", "CUTLASS"):
        return "moe_config.backend", f"{backend} with NVFP4 on Hopper"
    return None


ISSUES = (
    KnownIssue(
        name="trtllm-misplaced-cache-key",
        severity="error",
        symptom="the server stops at start",
        source="llm_args of both snapshots; a 1.3.0rc12 user",
        remedy="Write it under kv_cache_config (the data type is kv_cache_config.dtype)",
        trigger=_misplaced,
    ),
    KnownIssue(
        name="trtllm-default-batch",
        severity="error",
        symptom="the Mamba state is allotted for every sequence at start, 160 GiB in float32",
        source="a 1.3.0rc12 user's out-of-memory report",
        remedy="Set max_batch_size (8 or 16 on one GPU)",
        trigger=_default_batch,
        log=r"out of memory.*(160(\.\d+)? ?GiB|mamba|ssm)",
    ),
    KnownIssue(
        name="trtllm-stochastic-rounding",
        severity="warning",
        symptom="it is documented for float16 alone, and nothing refuses the pair",
        source="llm_args of both snapshots",
        remedy="Set kv_cache_config.mamba_ssm_cache_dtype: float16, or drop the rounding",
        trigger=_rounding,
    ),
    KnownIssue(
        name="trtllm-block-reuse",
        severity="error",
        until="1.3.0rc13",
        symptom="prefix caching for Mamba came with 1.3.0rc14; before it, reused blocks have no state",
        source="NVIDIA/TensorRT-LLM PR 12185",
        remedy="Set kv_cache_config.enable_block_reuse: false",
        trigger=_reuse,
    ),
    KnownIssue(
        name="trtllm-16072",
        severity="note",
        until="1.3.0rc21",
        is_confirmed=False,
        symptom="a full KV cache loses CUDA graphs under load, because padding entries are made late",
        source="NVIDIA/TensorRT-LLM PR 16072",
        remedy="Leave head room: 0.8 to 0.85",
        trigger=_padding_head_room,
    ),
    KnownIssue(
        name="trtllm-nvfp4-hopper",
        severity="note",
        symptom="weights fall back to W4A16: it fits, and runs without FP4 speed",
        source="NVIDIA's deployment guide; linear and MoE sources",
        remedy="Before Blackwell (10.0) the FP8 checkpoint is the faster one where it fits",
        trigger=_before_blackwell,
    ),
    KnownIssue(
        name="trtllm-nvfp4-hopper-moe",
        severity="error",
        symptom="only CUTLASS has the W4A16 fallback",
        source="linear and MoE sources",
        remedy="Set moe_config.backend: CUTLASS",
        trigger=_hopper_moe,
    ),
)

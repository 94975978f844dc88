"""What TensorRT-LLM's own validators refuse across several keys of its YAML file.

Source: llm_args of both snapshots that bracket 1.3.0rc12, and of late 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.launch.servers.issue import Case, KnownIssue

_SPECULATION = "speculative_config"
_NEED_LENGTH = ("NGram", "SA", "Draft_Target", "PARD", "Eagle", "Eagle3")
_NEED_MODEL = ("Draft_Target", "Eagle", "Eagle3")
_SOURCE = "llm_args of both snapshots"
_STOPS = "the server stops at start"


def _section(case: Case, key: str) -> Mapping[str, Any]:
    value = case.settings.get(key)
    return value if isinstance(value, Mapping) else {}


def _captured_sizes(case: Case) -> tuple[str, str] | None:
    graphs = _section(case, "cuda_graph_config")
    sizes, largest = graphs.get("batch_sizes"), graphs.get("max_batch_size")
    if not (isinstance(sizes, list) and sizes and largest and all(isinstance(size, int) for size in sizes)):
        return None
    if max(sizes) == largest:
        return None
    return "cuda_graph_config.max_batch_size", f"{largest} beside batch_sizes up to {max(sizes)}"


def _draft_schedule(case: Case) -> tuple[str, str] | None:
    config = _section(case, _SPECULATION)
    if config.get("max_concurrency") is not None and config.get("draft_len_schedule") is not None:
        return f"{_SPECULATION}.draft_len_schedule", "beside max_concurrency"
    return None


def _draft_length(case: Case) -> tuple[str, str] | None:
    config = _section(case, _SPECULATION)
    kind, length = config.get("decoding_type"), config.get("max_draft_len")
    if kind in _NEED_LENGTH and not length:
        return f"{_SPECULATION}.max_draft_len", f"{kind} without a draft length"
    if kind in _NEED_MODEL and not config.get("speculative_model"):
        return f"{_SPECULATION}.speculative_model", f"{kind} without a draft model"
    return None


def _backend(case: Case) -> tuple[str, str] | None:
    kind = _section(case, _SPECULATION).get("decoding_type")
    if kind in ("Medusa", "Lookahead") and case.settings.get("backend", "pytorch") in ("pytorch", "_autodeploy"):
        return f"{_SPECULATION}.decoding_type", f"{kind} with the PyTorch backend"
    return None


# what AutoDeploy takes by its world_size alone, and the values that change nothing
_BY_WORLD_SIZE = {
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "context_parallel_size": 1,
    "moe_cluster_parallel_size": None,
    "moe_tensor_parallel_size": None,
    "moe_expert_parallel_size": None,
    "enable_attention_dp": False,
}


def _autodeploy_parallel(case: Case) -> tuple[str, str] | None:
    if case.settings.get("backend") != "_autodeploy":
        return None
    for key, default in _BY_WORLD_SIZE.items():
        value = case.settings.get(key, default)
        if value not in (default, None):
            return key, f"{value} with the backend _autodeploy"
    return None


def _autodeploy_batch(case: Case) -> tuple[str, str] | None:
    batch, tokens = case.settings.get("max_batch_size"), case.settings.get("max_num_tokens")
    is_auto = case.settings.get("backend") == "_autodeploy"
    if is_auto and isinstance(batch, int) and isinstance(tokens, int) and batch > tokens:
        return "max_batch_size", f"{batch} sequences in steps of {tokens} tokens, with the backend _autodeploy"
    return None


def _empty_window(case: Case) -> tuple[str, str] | None:
    key = "kv_cache_config.max_attention_window"
    return (key, "an empty list") if case.settings.get(key) == [] else None


def _negative_balance(case: Case) -> tuple[str, str] | None:
    config = _section(case, "attention_dp_config")
    for key in ("timeout_iters", "batching_wait_iters"):
        value = config.get(key)
        if config.get("enable_balance") and isinstance(value, int) and value < 0:
            return f"attention_dp_config.{key}", f"{value} with enable_balance"
    return None


def _philox(case: Case) -> tuple[str, str] | None:
    rounds = case.settings.get("kv_cache_config.mamba_ssm_philox_rounds")
    if isinstance(rounds, int) and rounds < 1:
        return "kv_cache_config.mamba_ssm_philox_rounds", f"{rounds} rounds"
    return None


def _ray(case: Case) -> tuple[str, str] | None:
    for key in ("ray_worker_extension_cls", "ray_placement_config"):
        if case.settings.get(key) is not None and case.settings.get("orchestrator_type") != "ray":
            return key, "without orchestrator_type: ray"
    return None


def _batch_over_tokens(case: Case) -> tuple[str, str] | None:
    batch, tokens = case.settings.get("max_batch_size"), case.settings.get("max_num_tokens", 8192)
    if isinstance(batch, int) and isinstance(tokens, int) and batch > tokens:
        return "max_batch_size", f"{batch} sequences in steps of {tokens} tokens"
    return None


def _refused(name: str, trigger: Any, remedy: str) -> KnownIssue:
    return KnownIssue(name, "error", _STOPS, _SOURCE, remedy, trigger)


ISSUES = (
    _refused("trtllm-captured-sizes", _captured_sizes, "Give one of the two, or make max_batch_size the largest size"),
    _refused("trtllm-draft-schedule", _draft_schedule, "Give one of the two"),
    _refused("trtllm-draft-length", _draft_length, "Add the key"),
    _refused("trtllm-decoding-backend", _backend, "Use MTP, which the family's checkpoints bring"),
    _refused("trtllm-attention-window", _empty_window, "Leave the key out"),
    _refused("trtllm-attention-dp-balance", _negative_balance, "Use 0 or more"),
    _refused("trtllm-philox-rounds", _philox, "Use 1 or more; NVIDIA's recipes use 5"),
    _refused("trtllm-ray", _ray, "Set orchestrator_type: ray, or leave the key out"),
    KnownIssue(
        name="trtllm-autodeploy-parallel",
        severity="error",
        symptom="AutoDeploy only supports parallelization via the world_size argument; the server stops at start",
        source="tensorrt_llm/_torch/auto_deploy/llm_args.py",
        remedy="Set world_size in the YAML file",
        trigger=_autodeploy_parallel,
    ),
    KnownIssue(
        name="trtllm-autodeploy-batch",
        severity="error",
        symptom=_STOPS,
        source="tensorrt_llm/_torch/auto_deploy/llm_args.py",
        remedy="Raise max_num_tokens or lower max_batch_size",
        trigger=_autodeploy_batch,
    ),
    KnownIssue(
        name="trtllm-batch-over-tokens",
        severity="note",
        symptom="the server only logs a warning; the rest of the batch waits",
        source=_SOURCE,
        remedy="Raise max_num_tokens or lower max_batch_size",
        trigger=_batch_over_tokens,
    ),
)

"""What TensorRT-LLM refuses where a hybrid's caches pass from one server to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.issue import Case, KnownIssue
from trtnemo.launch.servers.settings import effective_settings

_KEY = "cache_transceiver_config"
_CACHES = ("dtype", "tokens_per_block", "mamba_ssm_cache_dtype")
_LAYOUT = (_KEY, *(f"kv_cache_config.{name}" for name in _CACHES))
_VARIABLES = {
    "TRTLLM_USE_NIXL_KVCACHE": "NIXL",
    "TRTLLM_USE_UCX_KVCACHE": "UCX",
    "TRTLLM_USE_MOONCAKE_KVCACHE": "MOONCAKE",
    "TRTLLM_USE_MPI_KVCACHE": "MPI",
}
_SOURCE = "tensorrt_llm/_torch/pyexecutor/kv_cache_transceiver.py"


def _backend(case: Case) -> str | None:
    """Return what passes caches on: NIXL by default, or what the first of four variables says."""
    given = case.settings.get(f"{_KEY}.backend")
    if given != "DEFAULT":
        return given if isinstance(given, str) else None
    env = case.invocation.env
    return next((backend for name, backend in _VARIABLES.items() if env.get(name) == "1"), "NIXL")


def _states_by_nixl(case: Case) -> tuple[str, str] | None:
    backend, runtime = _backend(case), case.settings.get(f"{_KEY}.transceiver_runtime")
    if not case.is_nemotron_h or backend not in ("NIXL", "MOONCAKE") or runtime in ("PYTHON", "auto"):
        return None
    given = case.settings.get(f"{_KEY}.backend")
    return f"{_KEY}.backend", f"{given}, which is {backend}" if given != backend else f"{backend}"


def _python_without_nixl(case: Case) -> tuple[str, str] | None:
    backend = _backend(case)
    if case.settings.get(f"{_KEY}.transceiver_runtime") != "PYTHON" or backend in (None, "NIXL"):
        return None
    return f"{_KEY}.transceiver_runtime", f"PYTHON with {backend}"


def between_halves(prefill: Mapping[str, Any], decode: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the settings of two halves together, by dotted key: caches have one layout."""
    findings = []
    if prefill.get("disable_overlap_scheduler") is not True:
        message = "the half that reads prompts passes caches on late, or stops: it schedules with overlap"
        subject, remedy = "disable_overlap_scheduler", "Give the context servers disable_overlap_scheduler: true"
        findings.append(Finding("warning", "disaggregated-overlap", subject, message, remedy))
    for key in (
        _KEY,
        "kv_cache_config.dtype",
        "kv_cache_config.tokens_per_block",
        "kv_cache_config.mamba_ssm_cache_dtype",
    ):
        if prefill.get(key) != decode.get(key):
            message = f"{prefill.get(key)!r} where prompts are read and {decode.get(key)!r} where answers are generated"
            message += ": both sides keep caches in one layout"
            findings.append(Finding("error", "disaggregated-layout", key, message, "Make the two equal"))
    return findings


def between_starts(prefill: Invocation, decode: Invocation) -> list[Finding]:
    """Return what is wrong with two halves together."""
    return between_halves(effective_settings(prefill).values, effective_settings(decode).values)


ISSUES = (
    KnownIssue(
        name="trtllm-nixl-mamba",
        severity="error",
        symptom="the server stops: NIXL and MOONCAKE in C++ pass on no Mamba states",
        source=f"{_SOURCE}; NVIDIA's recipe nemotron-3-super-fp8/trtllm/disagg",
        remedy="Give backend: UCX, or NIXL with transceiver_runtime: PYTHON where the version has it (1.3.0rc12 has)",
        trigger=_states_by_nixl,
        log=r"does not support hybrid models with\s+RNN \(Mamba\) states",
    ),
    KnownIssue(
        name="trtllm-python-transceiver",
        severity="error",
        symptom="the server stops: the transceiver in Python passes caches on with NIXL alone",
        source=_SOURCE,
        remedy="Give backend: NIXL, or leave transceiver_runtime out",
        trigger=_python_without_nixl,
        log=r"Python transceiver currently only supports NIXL",
    ),
)

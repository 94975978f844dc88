"""What vLLM itself refuses of a start with the family: rounding, draft head, plug-ins of older cards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from trtnemo.launch.servers.issue import Case, KnownIssue

# MoE backends that take weights which are not quantized, as those of the draft head beside an NVFP4 body
_UNQUANTIZED = ("auto", "triton", "batched_triton", "flashinfer_trtllm", "flashinfer_cutlass", "aiter")


def _rounding(case: Case) -> tuple[str, str] | None:
    name, backend = "--enable-mamba-cache-stochastic-rounding", case.option("--mamba-backend")
    if not case.option(name) or case.compute_capability is None or case.compute_capability.startswith("10."):
        return None
    if str(backend or "triton").lower() != "triton":
        return None
    return name, f"stochastic rounding by Triton on compute capability {case.compute_capability}"


def _draft_head(case: Case) -> tuple[str, str] | None:
    backend, drafts = case.option("--moe-backend"), case.option("--speculative-config")
    if not isinstance(drafts, Mapping) or drafts.get("method") != "mtp" or not case.is_nvfp4:
        return None
    if backend is None or backend in _UNQUANTIZED or drafts.get("moe_backend") in _UNQUANTIZED:
        return None
    return "--moe-backend", f"{backend} reaches the draft head, whose weights are not quantized"


def _moved_plugin(case: Case) -> tuple[str, str] | None:
    name = case.option("--tool-parser-plugin")
    is_old = isinstance(name, str) and PurePosixPath(name).name.startswith("nemotron_toolcall_parser")
    return ("--tool-parser-plugin", f"{name} of an older card") if is_old else None


def _untyped_start(case: Case) -> tuple[str, str] | None:
    given = case.option("--reasoning-config")
    return ("--reasoning-config", "with --reasoning-parser") if given and case.option("--reasoning-parser") else None


ISSUES = (
    KnownIssue(
        name="vllm-moved-plugin",
        severity="error",
        since="0.15.0",
        symptom="it imports vllm.entrypoints modules that have moved: the server stops at start",
        source="vllm-project/vllm issues 34405 and 42065",
        remedy="Use the built-in parser of the model: qwen3_coder for Nemotron-3, else the checkpoint's newest plug-in",
        trigger=_moved_plugin,
        log=r"No module named 'vllm\.entrypoints\.openai\.(protocol|tool_parsers)",
    ),
    KnownIssue(
        name="vllm-reasoning-config",
        severity="note",
        until="0.20.0",
        is_confirmed=False,
        symptom="content was always null in 0.19.1rc1, and later builds answer rightly",
        source="vllm-project/vllm issue 39103",
        remedy="Ask one question and look at content; leave --reasoning-config out if it is null",
        trigger=_untyped_start,
    ),
    KnownIssue(
        name="vllm-stochastic-rounding",
        severity="error",
        symptom="Triton rounds so on compute capability 10.x alone: elsewhere its kernel does not compile at start",
        source="NVIDIA-NeMo/Nemotron 289; vllm/config/mamba.py, whose own check the option passes by",
        remedy="Set --mamba-backend flashinfer, or leave the rounding out",
        trigger=_rounding,
        log=r"Stochastic rounding for Mamba cache with triton backend requires|PTX.*cvt\.rs|cvt\.rs.*not supported",
    ),
    KnownIssue(
        name="vllm-draft-head-moe",
        severity="error",
        symptom="the server stops while it loads the draft head",
        source="vllm fused_moe/oracle/unquantized.py of 0.20.0 and 0.33.0; spark-vllm-docker issue 125",
        remedy='Put "moe_backend": "triton" into --speculative-config',
        trigger=_draft_head,
        log=r"moe_backend='\w+' is not supported for unquantized MoE",
    ),
)

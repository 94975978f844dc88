"""What vLLM itself refuses, or loses in silence, of a start with the family: devices, draft head, parsers."""

from __future__ import annotations

from collections.abc import Mapping

from trtnemo.launch.servers.issue import Case, KnownIssue

# MoE backends that take weights which are not quantized, as those of the draft head beside an NVFP4 body
_UNQUANTIZED = ("auto", "triton", "batched_triton", "flashinfer_trtllm", "flashinfer_cutlass", "aiter")
_TOOL_PARSERS = ("qwen3_coder", "qwen3_xml")


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


def _foreign_tool_parser(case: Case) -> tuple[str, str] | None:
    name = case.option("--tool-call-parser")
    if not case.is_nemotron_3 or name is None or case.option("--tool-parser-plugin"):
        return None
    known = case.late_choices("--tool-call-parser")
    return ("--tool-call-parser", f"{name!r}") if name in known and name not in _TOOL_PARSERS else None


def _open_thinking(case: Case) -> tuple[str, str] | None:
    if case.is_nemotron_3 and case.option("--tool-call-parser") and not case.option("--reasoning-parser"):
        return "--reasoning-parser", "tool calls are read, and thinking is not"
    return None


ISSUES = (
    KnownIssue(
        name="vllm-stochastic-rounding",
        severity="error",
        symptom="the server stops at start: Triton rounds so on compute capability 10.x alone",
        source="vllm/config/mamba.py of 0.20.0 and 0.33.0",
        remedy="Set --mamba-backend flashinfer, or leave the rounding out",
        trigger=_rounding,
        log=r"Stochastic rounding for Mamba cache with triton backend requires",
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
    KnownIssue(
        name="vllm-foreign-tool-parser",
        severity="warning",
        symptom="it reads another family's calls: Nemotron-3 writes <function=...>, and no call is found",
        source="the model cards",
        remedy="Use qwen3_coder (Nemotron 3.5: qwen3_xml)",
        trigger=_foreign_tool_parser,
    ),
    KnownIssue(
        name="vllm-no-reasoning-parser",
        severity="warning",
        symptom="thinking and </think> stay in the content",
        source="the model cards; NemoClaw PR 6992",
        remedy="Add --reasoning-parser nemotron_v3",
        trigger=_open_thinking,
    ),
)

"""What vLLM refuses, or dies of, where a hybrid's caches pass from one server to another."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue

_LAYOUT = "VLLM_SSM_CONV_STATE_LAYOUT"


def _uses_nixl(case: Case) -> bool:
    config = case.option("--kv-transfer-config")
    return case.is_nemotron_h and isinstance(config, dict) and "Nixl" in str(config.get("kv_connector"))


def _layout(case: Case) -> tuple[str, str] | None:
    given = case.invocation.env.get(_LAYOUT, "not given")
    if not _uses_nixl(case) or given in ("DS", None):
        return None
    return _LAYOUT, f"{given}, with NixlConnector"


def _prefix_caching(case: Case) -> tuple[str, str] | None:
    found = _uses_nixl(case) and case.option("--enable-prefix-caching") is True
    return ("--enable-prefix-caching", "prefix caching with NixlConnector") if found else None


def _drafts(case: Case) -> tuple[str, str] | None:
    return ("--speculative-config", "drafts with NixlConnector") if _has_drafts(case) else None


def _has_drafts(case: Case) -> bool:
    return _uses_nixl(case) and bool(case.option("--speculative-config"))


def _events(case: Case) -> tuple[str, str] | None:
    config = case.option("--kv-events-config")
    wanted = isinstance(config, dict) and config.get("enable_kv_cache_events", True) is True
    return ("--kv-events-config", "events of a hybrid's caches") if case.is_nemotron_h and wanted else None


ISSUES = (
    KnownIssue(
        name="vllm-ssm-layout",
        severity="error",
        since="0.20.0",
        symptom="the server stops: NIXL passes states of Mamba on in the layout DS alone",
        source="vllm/distributed/kv_transfer of 0.20.0 and 0.33.0; vllm-project/vllm#54387",
        remedy=f"Set {_LAYOUT}=DS on both sides",
        trigger=_layout,
    ),
    KnownIssue(
        name="vllm-nixl-prefix-caching",
        severity="error",
        since="0.20.0",
        until="0.28.999",
        symptom="the decoding server dies with the first request: SSM can only have one local block",
        source="ai-dynamo/dynamo#12197, with Super FP8; that 0.20.0 has it is inferred",
        remedy="Give --no-enable-prefix-caching on both sides",
        trigger=_prefix_caching,
        log=r"SSM can only have one local block",
    ),
    KnownIssue(
        name="vllm-nixl-drafts",
        severity="error",
        since="0.21.0",
        until="0.28.999",
        symptom="the decoding server dies with the first request: SSM can only have one local block",
        source="ai-dynamo/dynamo#12197, with 0.26",
        remedy="Leave --speculative-config out, or take 0.29 or later",
        trigger=_drafts,
    ),
    KnownIssue(
        name="vllm-nixl-drafts-new",
        severity="note",
        since="0.29.0",
        symptom="it starts; vLLM itself calls drafts with a transfer of states not extensively validated",
        source="vLLM's own announcement",
        remedy="Measure the acceptance on your own prompts",
        trigger=_drafts,
    ),
    KnownIssue(
        name="vllm-hybrid-events",
        severity="warning",
        symptom="a hybrid's caches send none: a router that waits for them sees no prefix",
        source="NVIDIA's recipes for Nemotron-3 Super, which route with --no-kv-events",
        remedy="Route without events: --no-kv-events of Dynamo's frontend",
        trigger=_events,
    ),
)

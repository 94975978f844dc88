"""The share of a device that a pasted start takes, against what can be free when it starts."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue
from trtnemo.launch.servers.vllm.memory import SHARE, default_share, unified_share

# the largest share that leaves room for more than the CUDA context
_MOST = 0.97
# compute capabilities of GPUs whose memory is the CPU's too: GB10 of DGX Spark, and Jetson Thor
_UNIFIED = ("12.1", "11.0")


def _share_of(case: Case) -> float:
    given = case.option(SHARE)
    return float(given) if isinstance(given, (int, float)) else default_share(case.invocation.surface)


def _unified_stops(case: Case) -> tuple[str, str] | None:
    return _unified_memory(case, stops=True)


def _unified_may_stop(case: Case) -> tuple[str, str] | None:
    return _unified_memory(case, stops=False)


def _unified_memory(case: Case, *, stops: bool) -> tuple[str, str] | None:
    if case.compute_capability not in _UNIFIED or not case.invocation.is_pasted:
        return None  # a recipe names its devices, and is checked by its plan
    fault = unified_share(_share_of(case))
    if fault is None or fault.stops is not stops:
        return None
    return (
        SHARE,
        f"compute capability {case.compute_capability} shares its memory with the CPU, of which {_share_of(case):g}",
    )


def _whole_device(case: Case) -> tuple[str, str] | None:
    share = _share_of(case)
    is_unified = case.compute_capability in _UNIFIED or not case.invocation.is_pasted
    return (SHARE, f"{share:g} of the device") if share > _MOST and not is_unified else None


ISSUES = (
    KnownIssue(
        name="vllm-unified-memory",
        severity="error",
        symptom="so much is never free: vLLM refuses to start where less is free than its share",
        source="vllm-project/recipes PR 632; MiaAI-Lab issue 47",
        remedy=f"Give {SHARE} 0.85 or less",
        trigger=_unified_stops,
        log=r"Free memory on device .* is less than desired GPU memory utilization",
    ),
    KnownIssue(
        name="vllm-unified-memory-near",
        severity="warning",
        symptom="vLLM refuses to start where less is free, and 0.84 was free after a boot of a DGX Spark",
        source="MiaAI-Lab issue 47; NVIDIA's model card gives 0.90",
        remedy=f"Give {SHARE} 0.85 or less",
        trigger=_unified_may_stop,
    ),
    KnownIssue(
        name="vllm-whole-device",
        severity="warning",
        symptom="the CUDA context and anything else on the device must fit in the rest, or vLLM refuses to start",
        source="vLLM's start logs of H100 and RTX 5090",
        remedy=f"Give {SHARE} 0.95 or less",
        trigger=_whole_device,
    ),
)

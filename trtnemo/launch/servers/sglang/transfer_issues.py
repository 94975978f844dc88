"""What SGLang does otherwise than asked where caches pass from one server to another."""

from __future__ import annotations

from packaging.version import Version

from trtnemo.findings import Finding
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.issue import Case, KnownIssue

# PR 22240 of April 2026; 0.5.10 refuses what 0.5.23 has, and no version between was read
_FIRST_UNEQUAL = Version("0.5.11")


def _device(case: Case) -> tuple[str, str] | None:
    is_nixl = case.option("--disaggregation-transfer-backend") == "nixl"
    device = case.option("--disaggregation-ib-device")
    return ("--disaggregation-ib-device", f"{device} with nixl") if is_nixl and device else None


def between_halves(prefill: Invocation, decode: Invocation) -> list[Finding]:
    """Return what is wrong with two halves together: states of Mamba are cut alike on both sides in 0.5.10."""
    sizes = [half.option("--tensor-parallel-size") or 1 for half in (prefill, decode)]
    is_old = Version(prefill.version or prefill.surface.version) < _FIRST_UNEQUAL
    is_nixl = prefill.option("--disaggregation-transfer-backend") == "nixl"
    if sizes[0] == sizes[1] or not is_old or not is_nixl:
        return []
    message = f"{sizes[0]} GPUs read prompts, {sizes[1]} generate: nixl passes on states that are cut alike [0.5.10]"
    return [Finding("error", "sglang-unequal-halves", "--tensor-parallel-size", message, "Make them equal")]


ISSUES = (
    KnownIssue(
        name="sglang-nixl-device",
        severity="warning",
        symptom="nixl does not read it: the transfer takes any device, and where that one leads nowhere, hangs 300 s",
        source="sgl-project/sglang PR 28737",
        remedy="Set UCX_NET_DEVICES to the device",
        trigger=_device,
    ),
)

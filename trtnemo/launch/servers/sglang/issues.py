"""Known issues of SGLang with the family."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue


def _piecewise(case: Case) -> tuple[str, str] | None:
    if case.option("--disable-piecewise-cuda-graph"):
        return "--disable-piecewise-cuda-graph", "the option"
    unknown = {f.subject for f in case.invocation.findings if f.rule == "unknown-option"}
    return ("--disable-piecewise-cuda-graph", "the option") if "--disable-piecewise-cuda-graph" in unknown else None


def _long_context(case: Case) -> tuple[str, str] | None:
    length, name = case.option("--context-length"), "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"
    allowed = str(case.invocation.env.get(name, "0")).lower() in ("1", "true")
    excess = case.beyond_training(length)
    return ("--context-length", excess) if excess and not allowed else None


def _pro_6000(case: Case) -> tuple[str, str] | None:
    if case.option("--speculative-algorithm") and case.compute_capability == "12.0":
        return "--speculative-algorithm", "MTP on RTX PRO 6000"
    return None


def _radix_cache(case: Case) -> tuple[str, str] | None:
    if not case.option("--speculative-algorithm") or not case.is_nemotron_h or case.invocation.version is None:
        return None  # of a version that nobody names, such as the card's image, this is not known
    if case.option("--mamba-scheduler-strategy") == "extra_buffer":
        return "--mamba-scheduler-strategy", "extra_buffer"
    has_cache = not case.option("--disable-radix-cache")
    return ("--speculative-algorithm", "drafting beside the radix cache") if has_cache else None


ISSUES = (
    KnownIssue(
        name="sglang-draft-radix-cache",
        severity="error",
        until="0.5.10",
        symptom="Nemotron-H has no extra_buffer strategy, and without it drafting is refused beside the radix cache",
        source="server_args.py of 0.5.10; later versions were not read for this",
        remedy="Set --disable-radix-cache, and leave --mamba-scheduler-strategy out",
        trigger=_radix_cache,
        log=r"mamba extra_buffer is not supported for|is not compatible with radix cache when using",
    ),
    KnownIssue(
        name="sglang-piecewise-cuda-graph",
        severity="note",
        symptom="0.5.10 has it, 0.5.23 has not; the model card pins a development image that was not read",
        source="the recorded surfaces; image not read",
        remedy="Keep it with that image, drop it with 0.5.23",
        trigger=_piecewise,
    ),
    KnownIssue(
        name="sglang-long-context",
        severity="error",
        symptom="the server refuses a longer limit",
        source="the model card",
        remedy="Set SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1",
        trigger=_long_context,
        log=r"set the env var SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1",
    ),
    KnownIssue(
        name="sglang-mtp-pro-6000",
        severity="note",
        symptom="a user of FP8 on eight cards ran out of memory",
        source="a third party's report",
        remedy="Leave drafting off, or lower --mem-fraction-static",
        trigger=_pro_6000,
    ),
)

"""Known issues of SGLang with the family."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue

_STRATEGY = "--mamba-radix-cache-strategy"
_ROUNDING = "--enable-mamba-cache-stochastic-rounding"


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


def _triton_attention(case: Case) -> tuple[str, str] | None:
    is_triton = case.option("--attention-backend") == "triton" and case.is_nemotron_h
    return ("--attention-backend", "triton") if is_triton else None


def _no_buffer(case: Case) -> tuple[str, str] | None:
    if case.option(_STRATEGY) != "no_buffer" or case.option("--disable-radix-cache") or not case.is_nemotron_h:
        return None
    backend, page = case.option("--attention-backend"), case.option("--page-size")
    if page not in (None, 1):
        return _STRATEGY, f"no_buffer with pages of {page}"
    has_drafts = case.option("--speculative-algorithm")
    if backend is None and not has_drafts and (case.compute_capability or "").startswith("10."):
        backend = "trtllm_mha"  # its choice for the family there
    if backend == "trtllm_mha":
        return _STRATEGY, "no_buffer with the attention backend trtllm_mha"
    overlaps = not case.option("--disable-overlap-schedule") and not has_drafts
    return (_STRATEGY, "no_buffer with the overlap schedule") if overlaps else None


def _stochastic_rounding(case: Case) -> tuple[str, str] | None:
    if not case.option(_ROUNDING):
        return None
    kind, capability = case.option("--mamba-ssm-dtype"), case.compute_capability
    if kind != "float16":
        return _ROUNDING, f"--mamba-ssm-dtype is {kind or 'not given'}"
    by_triton = (case.option("--mamba-backend") or "triton") == "triton"
    if by_triton and capability is not None and not capability.startswith("10."):
        return _ROUNDING, f"stochastic rounding by Triton on compute capability {capability}"
    return None


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
    KnownIssue(
        name="sglang-triton-attention",
        severity="error",
        until="0.5.10",
        symptom="the server stops at start: the first layer of a hybrid is no attention layer",
        source="server_args.py of 0.5.10; 0.5.23 takes it, versions between were not read",
        remedy="Set --attention-backend flashinfer, or leave it out",
        trigger=_triton_attention,
        log=r"NemotronHForCausalLM does not support triton attention backend",
    ),
    KnownIssue(
        name="sglang-no-buffer",
        severity="error",
        since="0.5.23",
        symptom="the server stops at start",
        source="arg_groups/mamba_hook.py of 0.5.23",
        remedy="Leave the strategy out; or give --disable-overlap-schedule and --attention-backend flashinfer, and no "
        "--page-size",
        trigger=_no_buffer,
        log=r"no_buffer (only supports page_size|do not support)",
    ),
    KnownIssue(
        name="sglang-stochastic-rounding",
        severity="error",
        since="0.5.23",
        symptom="the server stops at start: it rounds float16 states alone, by Triton on compute capability 10.x alone",
        source="arg_groups/mamba_hook.py of 0.5.23",
        remedy="Set --mamba-ssm-dtype float16, and off 10.x --mamba-backend flashinfer too; or leave it out",
        trigger=_stochastic_rounding,
        log=r"Stochastic rounding for the Mamba SSM cache",
    ),
)

"""Known issues of vLLM with the family."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue


def _mixed_precision(case: Case) -> tuple[str, str] | None:
    return ("checkpoint", "a MIXED_PRECISION checkpoint") if case.is_nvfp4 and case.is_nemotron else None


def _swap_space(case: Case) -> tuple[str, str] | None:
    unknown = [f.subject for f in case.invocation.findings if f.rule == "unknown-option"]
    name = next((name for name in unknown if name.replace("_", "-") == "--swap-space"), None)
    return (name, "swap space") if name else None


def _own_quantization(case: Case) -> tuple[str, str] | None:
    given, known = case.option("--quantization"), case.late_choices("--quantization")
    if given is None or not case.is_nvfp4:
        return None
    unknown = "" if given in known else ", which is not a method that vLLM knows"
    return "--quantization", f"{given!r}{unknown}"


def _long_context(case: Case) -> tuple[str, str] | None:
    length, allowed = case.option("--max-model-len"), case.invocation.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN")
    if case.option("--hf-overrides") is not None:  # it may say another limit
        return None
    excess = case.beyond_training(length)
    return ("--max-model-len", excess) if excess and str(allowed) != "1" else None


def _drafts_and_chunks(case: Case) -> tuple[str, str] | None:
    config = case.option("--speculative-config")
    if isinstance(config, dict) and config.get("method") == "mtp" and case.option("--enable-chunked-prefill"):
        return "--speculative-config", "MTP with chunked prefill"
    return None


def _hopper(case: Case) -> tuple[str, str] | None:
    is_older = case.is_nvfp4 and case.lacks_fp4
    return ("checkpoint", f"NVFP4 on compute capability {case.compute_capability}") if is_older else None


def _parser_without_plugin(case: Case) -> tuple[str, str] | None:
    name, known = case.option("--reasoning-parser"), case.late_choices("--reasoning-parser")
    has_plugin = bool(case.option("--reasoning-parser-plugin"))
    if name is None or name in known or has_plugin:
        return None
    return "--reasoning-parser", f"{name!r} is not one of: {', '.join(known)}"


def _unknown_tool_parser(case: Case) -> tuple[str, str] | None:
    name, known = case.option("--tool-call-parser"), case.late_choices("--tool-call-parser")
    if name is None or name in known or case.option("--tool-parser-plugin"):
        return None
    if not case.option("--enable-auto-tool-choice"):  # without it vLLM does not look at the name
        return None
    return "--tool-call-parser", f"{name!r} is not one of: {', '.join(known)}"


def _parser_without_choice(case: Case) -> tuple[str, str] | None:
    if case.option("--tool-call-parser") and not case.option("--enable-auto-tool-choice"):
        return "--tool-call-parser", "without --enable-auto-tool-choice"
    return None


ISSUES = (
    KnownIssue(
        name="vllm-mixed-precision",
        severity="warning",
        until="0.15.1",
        is_confirmed=False,
        symptom="the quantization map is read as plain NVFP4: garbage, or loading fails",
        source="reports on vLLM up to 0.15; yet NVIDIA's own evaluation file names 0.15.1 for this checkpoint",
        remedy="Use vLLM 0.20.0, which the model card pins",
        trigger=_mixed_precision,
        log=r"ModelOpt currently only supports|(unsupported|unknown|invalid)\b.*MIXED_PRECISION"
        r"|MIXED_PRECISION.*\b(unsupported|unknown|invalid|not supported)",
    ),
    KnownIssue(
        name="vllm-swap-space",
        severity="error",
        since="0.18.0",
        symptom="the option is gone, because the V1 engine never swapped; the server stops at start",
        source="vllm-project/vllm PR 36216",
        remedy="Leave it out: 0 was what it did",
        trigger=_swap_space,
        log=r"unrecognized arguments:.*--swap[-_]space",
    ),
    KnownIssue(
        name="vllm-quantization",
        severity="note",
        symptom="it is ignored: the checkpoint's own map decides (modelopt_mixed for the released NVFP4)",
        source="vLLM 0.20.0 run up to its model configuration",
        remedy="Leave it out",
        trigger=_own_quantization,
    ),
    KnownIssue(
        name="vllm-long-context",
        severity="error",
        symptom="the server refuses a longer limit",
        source="the model card",
        remedy="Set VLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
        trigger=_long_context,
        # With the variable set, vLLM warns with its name too, and goes on.
        log=r"set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
    ),
    KnownIssue(
        name="vllm-35447",
        severity="warning",
        until="0.17.1",
        is_confirmed=False,
        symptom="wrong output of Nemotron-H",
        source="vllm-project/vllm PR 35447",
        remedy="Use vLLM 0.20.0, or compare answers with drafts off",
        trigger=_drafts_and_chunks,
    ),
    KnownIssue(
        name="vllm-nvfp4-hopper",
        severity="note",
        symptom="weights run as W4A16: it fits, and runs without FP4 speed",
        source="NVIDIA's deployment guide",
        remedy="On Hopper the FP8 checkpoint is the faster one where it fits",
        trigger=_hopper,
    ),
    KnownIssue(
        name="vllm-reasoning-parser",
        severity="error",
        symptom="the server stops at start",
        source="the recorded surface",
        remedy="Give --reasoning-parser-plugin with the file that registers it, or use nemotron_v3",
        trigger=_parser_without_plugin,
    ),
    KnownIssue(
        name="vllm-tool-parser",
        severity="error",
        symptom="the server stops at start",
        source="the recorded surface",
        remedy="Nemotron-3's is qwen3_coder",
        trigger=_unknown_tool_parser,
    ),
    KnownIssue(
        name="vllm-auto-tool-choice",
        severity="warning",
        symptom="tools with tool_choice auto are refused",
        source="the model card sets both",
        remedy="Add --enable-auto-tool-choice",
        trigger=_parser_without_choice,
    ),
)

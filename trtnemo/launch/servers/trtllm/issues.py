"""Known issues of TensorRT-LLM with the family: speculation, parsers, limits."""

from __future__ import annotations

from trtnemo.launch.servers.issue import Case, KnownIssue

_SPECULATION = "speculative_config"
_DEEPSEEK_IDS = (128798, 128799)


def _mtp_with_padding(case: Case) -> tuple[str, str] | None:
    padded = case.settings.get("cuda_graph_config.enable_padding") is True
    if case.settings.get(f"{_SPECULATION}.decoding_type") == "MTP" and padded:
        return "cuda_graph_config.enable_padding", "MTP with CUDA-graph padding"
    return None


def _plain_sampling_only(case: Case) -> tuple[str, str] | None:
    has_it = case.settings.get(f"{_SPECULATION}.allow_advanced_sampling") is True
    if case.settings.get(f"{_SPECULATION}.decoding_type") == "MTP" and not has_it:
        return f"{_SPECULATION}.allow_advanced_sampling", "MTP without advanced sampling"
    return None


def _relaxed_ids(case: Case) -> tuple[str, str] | None:
    if case.settings.get(f"{_SPECULATION}.use_relaxed_acceptance_for_thinking") is not True:
        return None
    keys = ("begin_thinking_phase_token", "end_thinking_phase_token")
    values = [case.settings.get(f"{_SPECULATION}.{key}", old) for key, old in zip(keys, _DEEPSEEK_IDS, strict=True)]
    if set(values) & set(_DEEPSEEK_IDS):
        return f"{_SPECULATION}.{keys[0]}", "relaxed acceptance with DeepSeek's thinking ids"
    return None


def _deprecated_draft_length(case: Case) -> tuple[str, str] | None:
    key = f"{_SPECULATION}.num_nextn_predict_layers"
    return (key, "the draft length under its old name") if case.settings.get(key) is not None else None


def _long_context(case: Case) -> tuple[str, str] | None:
    length = case.settings.get("max_seq_len")
    allowed = str(case.invocation.env.get("TLLM_ALLOW_LONG_MAX_MODEL_LEN", "0")).lower() in ("1", "true", "yes", "y")
    excess = case.beyond_training(length)
    return ("max_seq_len", excess) if excess and not allowed else None


def _tensor_parallel(case: Case) -> tuple[str, str] | None:
    size = case.settings.get("tensor_parallel_size", 1)
    if case.is_nemotron_h and size not in (1, 2, 4, 8) and not case.settings.get("enable_attention_dp"):
        return "tensor_parallel_size", f"{size} without attention data parallelism"
    return None


def _lost_tool_call(case: Case) -> tuple[str, str] | None:
    if case.option("--tool_parser") and case.settings.get("reasoning_parser"):
        return "--tool_parser", "a tool call inside open thinking"
    return None


def _empty_content(case: Case) -> tuple[str, str] | None:
    if case.settings.get("reasoning_parser") in ("nano-v3", "nano_v3"):
        return "--reasoning_parser", "thinking that never closes"
    return None


def _engine_backend(case: Case) -> tuple[str, str] | None:
    if case.settings.get("backend") in ("tensorrt", "trt"):
        return "--backend", "the TensorRT engine backend"
    return None


ISSUES = (
    KnownIssue(
        name="trtllm-13179",
        severity="warning",
        until="1.3.0rc12.post1",
        is_confirmed=False,
        symptom="under load the server dies with 'run out of mamba cache blocks', or answers from a spoiled state",
        source="NVIDIA/TensorRT-LLM issue 13179, fixed by PR 13151",
        remedy="Set cuda_graph_config.enable_padding: false, or drop speculative_config, or use 1.3.0rc14 or newer "
        "(that it has the fix is inferred)",
        trigger=_mtp_with_padding,
        log=r"run out of mamba cache blocks",
    ),
    KnownIssue(
        name="trtllm-advanced-sampling",
        severity="warning",
        symptom="temperature and top_p of a request are not honoured while drafting",
        source="NVIDIA's deployment guide for Nemotron-3 Super",
        remedy="Set speculative_config.allow_advanced_sampling: true",
        trigger=_plain_sampling_only,
    ),
    KnownIssue(
        name="trtllm-relaxed-acceptance-ids",
        severity="warning",
        symptom="the ids mean other tokens here, so drafts are accepted loosely in the wrong places",
        source="llm_args of both snapshots",
        remedy="Set begin_thinking_phase_token and end_thinking_phase_token to this tokenizer's <think> and </think>",
        trigger=_relaxed_ids,
    ),
    KnownIssue(
        name="trtllm-draft-length-key",
        severity="note",
        since="1.4.0rc0",
        symptom="it is deprecated, and ignored where max_draft_len is given too",
        source="llm_args of late 2026",
        remedy="Write speculative_config.max_draft_len",
        trigger=_deprecated_draft_length,
    ),
    KnownIssue(
        name="trtllm-long-context",
        severity="error",
        symptom="the server refuses a longer limit",
        source="NVIDIA's Spark guide",
        remedy="Set TLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
        trigger=_long_context,
    ),
    KnownIssue(
        name="trtllm-tensor-parallel",
        severity="error",
        symptom="Nemotron-H stops at start",
        source="modeling_nemotron_h.py",
        remedy="Use 1, 2, 4 or 8, or enable_attention_dp",
        trigger=_tensor_parallel,
    ),
    KnownIssue(
        name="trtllm-tool-call-in-thinking",
        severity="note",
        until="1.3.0rc20",
        is_confirmed=False,
        symptom="it stays in the reasoning and the call is lost",
        source="reasoning parser of April and May 2026; the newest handles it",
        remedy="Watch for answers without content or calls",
        trigger=_lost_tool_call,
    ),
    KnownIssue(
        name="trtllm-force-nonempty-content",
        severity="note",
        until="1.3.0rc7",
        symptom="chat_template_kwargs.force_nonempty_content does not exist yet, so content stays empty",
        source="PR 12061, after 1.3.0rc7",
        remedy="Use 1.3.0rc8 or newer",
        trigger=_empty_content,
    ),
    KnownIssue(
        name="trtllm-engine-backend",
        severity="error",
        symptom="it serves no Nemotron-H, and is gone since mid-2026",
        source="NVIDIA/TensorRT-LLM PR 15918",
        remedy="Leave --backend at pytorch",
        trigger=_engine_backend,
    ),
)

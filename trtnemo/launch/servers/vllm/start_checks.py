"""What vLLM itself refuses of a start with the family: rounding, MoE backends, state blocks, prefixes, connectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from packaging.version import Version

from trtnemo.launch.servers.issue import Case, KnownIssue

# MoE backends that take weights which are not quantized, as those of the draft head beside an NVFP4 body
_UNQUANTIZED = ("auto", "triton", "batched_triton", "flashinfer_trtllm", "flashinfer_cutlass", "aiter")
# MoE backends that no version on record gives to NVFP4 experts
_NOT_OF_NVFP4 = ("triton", "batched_triton", "deep_gemm", "aiter")
# connectors that are no SupportsHMA in 0.20.0, 0.22.0 and 0.33.0
_UNAWARE = ("ExampleConnector", "FlexKVConnectorV1", "HF3FSKVConnector", "LMCacheConnectorV1", "P2pNcclConnector")
_ONE_POOL = "--disable-hybrid-kv-cache-manager"


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


def _is_before(case: Case, version: str) -> bool:
    return Version(case.invocation.version or case.invocation.surface.version) < Version(version)


def _keeps_prefixes(case: Case) -> bool | None:
    """Return whether prefixes are kept: a hybrid's are without being asked in 0.33.0, and are not up to 0.22.0."""
    given = case.option("--enable-prefix-caching")
    if given is None:
        return False if _is_before(case, "0.23") else None if _is_before(case, "0.33") else True
    return bool(given)


def _state_type(case: Case) -> tuple[str, str] | None:
    given = str(case.option("--mamba-ssm-cache-dtype") or "auto")
    if not case.option("--enable-mamba-cache-stochastic-rounding") or given == "float16":
        return None
    if given == "auto" and case.network is None:
        return None  # config.json says it, and this one's is not known
    said = "float32, as config.json says" if given == "auto" else given
    return "--enable-mamba-cache-stochastic-rounding", f"states are {said}"


def _states_in_blocks(case: Case) -> tuple[str, str] | None:
    size, longest = case.option("--mamba-block-size"), case.option("--max-model-len") or case.trained_positions
    if size is None or size == longest or _keeps_prefixes(case) is not False or not case.is_nemotron_h:
        return None
    return "--mamba-block-size", "without prefix caching"


def _whole_prompts(case: Case) -> tuple[str, str] | None:
    if not _keeps_prefixes(case) or case.option("--enable-chunked-prefill") is not False:
        return None
    mode, has_drafts = case.option("--mamba-cache-mode") or "none", case.option("--speculative-config") is not None
    by_drafts = mode == "none" and has_drafts and _is_before(case, "0.21")
    is_aligned = mode == "align" or by_drafts or not _is_before(case, "0.33")
    return ("--enable-chunked-prefill", "off, and prefixes are kept") if is_aligned and case.is_nemotron_h else None


def _expert_backend(case: Case) -> tuple[str, str] | None:
    backend = case.option("--moe-backend")
    if backend not in _NOT_OF_NVFP4 or not case.is_nvfp4 or not case.is_nemotron_h:
        return None
    return "--moe-backend", f"{backend} for experts in NVFP4"


def _one_pool(case: Case) -> tuple[str, str] | None:
    wish, connector = case.option(_ONE_POOL), case.option("--kv-transfer-config")
    if not case.is_nemotron_h:
        return None
    if wish:
        return _ONE_POOL, "attention and Mamba layers in one pool"
    name = connector.get("kv_connector") if isinstance(connector, Mapping) else None
    if name is None or (wish is False and name not in _UNAWARE):
        return None
    if name in _UNAWARE or _is_before(case, "0.21"):
        return "--kv-transfer-config", f"{name} turns the hybrid KV cache manager off"
    return None


def _tokens_below_sequences(case: Case) -> tuple[str, str] | None:
    tokens, sequences = case.option("--max-num-batched-tokens"), case.option("--max-num-seqs")
    if isinstance(tokens, int) and isinstance(sequences, int) and tokens < sequences:
        return "--max-num-batched-tokens", f"{tokens} tokens a step for {sequences} sequences"
    return None


def _no_drafts(case: Case) -> tuple[str, str] | None:
    config = case.option("--speculative-config")
    number = config.get("num_speculative_tokens") if isinstance(config, Mapping) else None
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and number >= 1):
        return None
    return "--speculative-config num_speculative_tokens", f"{number!r}"


ISSUES = (
    KnownIssue(
        name="vllm-tokens-below-sequences",
        severity="error",
        symptom="a step must have a token for every sequence; the server stops at start",
        source="vllm/config/scheduler.py of 0.20.0 and 0.33.0, run",
        remedy="Raise --max-num-batched-tokens, or lower --max-num-seqs",
        trigger=_tokens_below_sequences,
        log=r"max_num_batched_tokens \(\d+\) must be greater than or equal to max_num_seqs",
    ),
    KnownIssue(
        name="vllm-draft-number",
        severity="error",
        symptom="it must be a whole number of at least 1; the server stops at start",
        source="vllm/config/speculative.py of 0.20.0 and 0.33.0, run",
        remedy="Give 1 or more, or leave drafting out",
        trigger=_no_drafts,
    ),
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
    KnownIssue(
        name="vllm-rounding-type",
        severity="error",
        symptom="the server stops at start: it rounds so into float16 states alone",
        source="vllm/config/vllm.py of 0.20.0, 0.22.0 and 0.33.0",
        remedy="Set --mamba-ssm-cache-dtype float16, or leave the rounding out",
        trigger=_state_type,
        log=r"Stochastic rounding for Mamba cache requires the SSM cache to be float16",
    ),
    KnownIssue(
        name="vllm-mamba-block-size",
        severity="error",
        symptom="the server stops at start",
        source="vllm/config/vllm.py of 0.20.0, 0.22.0 and 0.33.0",
        remedy="Leave it out, or add --enable-prefix-caching",
        trigger=_states_in_blocks,
        log=r"--mamba-block-size can only be set with --enable-prefix-caching",
    ),
    KnownIssue(
        name="vllm-prefix-without-chunks",
        severity="error",
        since="0.20.0",
        symptom="the server stops at start: states are kept where chunks end",
        source="vllm/model_executor/models/config.py of 0.20.0, 0.22.0 and 0.33.0",
        remedy="Leave chunked prefill on, or switch prefix caching off, which 0.33.0 has on",
        trigger=_whole_prompts,
        log=r"Chunked prefill is required for mamba (cache mode 'align'|prefix caching)",
    ),
    KnownIssue(
        name="vllm-nvfp4-moe-backend",
        severity="error",
        symptom="the server stops while it makes the layers",
        source="vllm fused_moe/oracle/nvfp4.py of 0.20.0, 0.22.0 and 0.33.0",
        remedy="Leave it out, or use marlin; the draft head's own belongs into --speculative-config",
        trigger=_expert_backend,
        log=r"moe_backend='\w+' is not supported for NvFP4 MoE",
    ),
    KnownIssue(
        name="vllm-hybrid-manager",
        severity="error",
        since="0.20.0",
        symptom="the server stops once weights are loaded: a hybrid's caches are not of one type",
        source="vllm/config/vllm.py and v1/core of 0.20.0, 0.22.0 and 0.33.0",
        remedy="Keep the hybrid KV cache manager on, with a connector that supports it: NixlConnector in all three, "
        "and before 0.22 with --no-disable-hybrid-kv-cache-manager",
        trigger=_one_pool,
        log=r"failed to (convert the KV cache specs|promote local KV cache specs) to one unified type"
        r"|does not support HMA but HMA is enabled",
    ),
)

"""Starts that a server refuses because the model is a hybrid, and those that look like them."""

from __future__ import annotations

from tests.support.launch.starts import FINE_SGLANG, FINE_VLLM, ROUNDED, VLLM_MTP, at_version, of_model, with_options
from trtnemo.launch.servers.invocation import Invocation

NEWER_VLLM = at_version(FINE_VLLM, "0.33.0")
NEWER_SGLANG = at_version(FINE_SGLANG, "0.5.23")
WHOLE = {"enable_prefix_caching": True, "enable_chunked_prefill": False}
NO_BUFFER = {"mamba_radix_cache_strategy": "no_buffer"}
SERIAL = {**NO_BUFFER, "disable_overlap_schedule": True}
SGLANG_ROUNDED = with_options(NEWER_SGLANG, enable_mamba_cache_stochastic_rounding=True)
SGLANG_FLOAT16 = with_options(SGLANG_ROUNDED, mamba_ssm_dtype="float16")
LMCACHE = {"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}
NIXL = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}

# rule -> (what triggers it, compute capability, a version without it)
HYBRID_TRIGGERS: dict[str, tuple[Invocation, str | None, str | None]] = {
    "vllm-rounding-type": (with_options(ROUNDED, mamba_backend="flashinfer"), "9.0", None),
    "vllm-mamba-block-size": (with_options(FINE_VLLM, mamba_block_size=512), None, "0.33.0"),
    "vllm-prefix-without-chunks": (with_options(NEWER_VLLM, **WHOLE), None, "0.22.0"),
    "vllm-nvfp4-moe-backend": (with_options(FINE_VLLM, moe_backend="triton"), None, None),
    "vllm-hybrid-manager": (with_options(FINE_VLLM, kv_transfer_config=NIXL), None, "0.22.0"),
    "sglang-triton-attention": (with_options(FINE_SGLANG, attention_backend="triton"), None, "0.5.23"),
    "sglang-no-buffer": (with_options(NEWER_SGLANG, **NO_BUFFER), None, "0.5.10"),
    "sglang-stochastic-rounding": (SGLANG_FLOAT16, "9.0", "0.5.10"),
}

# the same rules in their other forms
OTHER_TRIGGERS: list[tuple[str, Invocation, str | None]] = [
    ("vllm-rounding-type", with_options(ROUNDED, mamba_ssm_cache_dtype="float32"), None),
    ("vllm-prefix-without-chunks", with_options(FINE_VLLM, **WHOLE, mamba_cache_mode="align"), None),
    ("vllm-prefix-without-chunks", with_options(FINE_VLLM, **WHOLE, speculative_config=VLLM_MTP), None),
    ("vllm-prefix-without-chunks", with_options(NEWER_VLLM, enable_chunked_prefill=False), None),
    ("vllm-mamba-block-size", with_options(NEWER_VLLM, mamba_block_size=512, enable_prefix_caching=False), None),
    ("vllm-hybrid-manager", with_options(NEWER_VLLM, kv_transfer_config=LMCACHE), None),
    ("vllm-hybrid-manager", with_options(NEWER_VLLM, disable_hybrid_kv_cache_manager=True), None),
    ("vllm-heads", with_options(FINE_VLLM, tensor_parallel_size=16), None),
    ("sglang-heads", with_options(FINE_SGLANG, tensor_parallel_size=16), None),
    ("sglang-no-buffer", with_options(NEWER_SGLANG, **SERIAL), "10.0"),
    ("sglang-no-buffer", with_options(NEWER_SGLANG, **SERIAL, page_size=64), None),
    ("sglang-no-buffer", with_options(NEWER_SGLANG, **SERIAL, attention_backend="trtllm_mha"), None),
    ("sglang-stochastic-rounding", SGLANG_ROUNDED, "10.0"),
]

HYBRID_LOOK_ALIKES: dict[str, list[tuple[Invocation, str | None]]] = {
    "vllm-rounding-type": [
        (with_options(ROUNDED, mamba_ssm_cache_dtype="float16"), "10.0"),
        (with_options(FINE_VLLM, mamba_ssm_cache_dtype="float32"), None),
    ],
    "vllm-mamba-block-size": [
        (with_options(FINE_VLLM, mamba_block_size=512, enable_prefix_caching=True), None),
        (with_options(NEWER_VLLM, mamba_block_size=512), None),
        (with_options(at_version(FINE_VLLM, "0.24.0"), mamba_block_size=512), None),
        (with_options(FINE_VLLM, mamba_block_size=8192, max_model_len=8192), None),
        (with_options(FINE_VLLM, mamba_block_size=262144), None),
    ],
    "vllm-prefix-without-chunks": [
        (with_options(FINE_VLLM, **WHOLE), None),
        (with_options(FINE_VLLM, **WHOLE, mamba_cache_mode="all", speculative_config=VLLM_MTP), None),
        (with_options(FINE_VLLM, enable_chunked_prefill=False), None),
        (with_options(NEWER_VLLM, enable_prefix_caching=True), None),
        (with_options(NEWER_VLLM, enable_chunked_prefill=False, enable_prefix_caching=False), None),
    ],
    "vllm-nvfp4-moe-backend": [
        (with_options(FINE_VLLM, moe_backend="marlin"), None),
        (with_options(of_model(FINE_VLLM, "BF16"), moe_backend="triton"), None),
        (with_options(FINE_VLLM, speculative_config={**VLLM_MTP, "moe_backend": "triton"}), None),
    ],
    "vllm-hybrid-manager": [
        (with_options(NEWER_VLLM, kv_transfer_config=NIXL), None),
        (with_options(FINE_VLLM, kv_transfer_config=NIXL, disable_hybrid_kv_cache_manager=False), None),
        (with_options(FINE_VLLM, kv_offloading_size=10), None),
    ],
    "sglang-triton-attention": [(with_options(FINE_SGLANG, attention_backend="flashinfer"), None)],
    "sglang-no-buffer": [
        (with_options(NEWER_SGLANG, **SERIAL), "9.0"),
        (with_options(NEWER_SGLANG, **SERIAL, attention_backend="flashinfer"), "10.0"),
        (with_options(NEWER_SGLANG, **NO_BUFFER, disable_radix_cache=True), None),
        (with_options(NEWER_SGLANG, mamba_radix_cache_strategy="extra_buffer", page_size=64), None),
    ],
    "sglang-stochastic-rounding": [
        (SGLANG_FLOAT16, "10.0"),
        (with_options(SGLANG_FLOAT16, mamba_backend="flashinfer"), "9.0"),
        (with_options(NEWER_SGLANG, mamba_ssm_dtype="float16"), "9.0"),
    ],
}

"""Starts that a server refuses because the model is a hybrid, and those that look like them."""

from __future__ import annotations

import dataclasses

from tests.support.launch.starts import (
    FINE_SGLANG,
    FINE_VLLM,
    ROUNDED,
    VLLM_MTP,
    at_version,
    of_model,
    with_file,
    with_options,
)
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
BY_DEVICE = {"disaggregation_transfer_backend": "nixl", "disaggregation_ib_device": "mlx5_0"}

DS = {"VLLM_SSM_CONV_STATE_LAYOUT": "DS"}


def by_nixl(version: str, **options: object) -> Invocation:
    """Return a start of vLLM that passes its caches on with NIXL, in the layout that it takes."""
    start = with_options(at_version(FINE_VLLM, version), kv_transfer_config=NIXL, **options)
    return dataclasses.replace(start, env=DS)


def transfer(**keys: object) -> Invocation:
    """Return a start of TensorRT-LLM that passes its caches on."""
    return with_file(cache_transceiver_config=keys)


DRAFTS = {"speculative_config": VLLM_MTP}

# rule -> (what triggers it, compute capability, a version without it)
HYBRID_TRIGGERS: dict[str, tuple[Invocation, str | None, str | None]] = {
    "vllm-rounding-type": (with_options(ROUNDED, mamba_backend="flashinfer"), "9.0", None),
    "vllm-mamba-block-size": (with_options(FINE_VLLM, mamba_block_size=512), None, "0.33.0"),
    "vllm-prefix-without-chunks": (with_options(NEWER_VLLM, **WHOLE), None, "0.22.0"),
    "vllm-nvfp4-moe-backend": (with_options(FINE_VLLM, moe_backend="triton"), None, None),
    "vllm-hybrid-manager": (with_options(FINE_VLLM, kv_transfer_config=NIXL), None, "0.22.0"),
    "vllm-ssm-layout": (dataclasses.replace(by_nixl("0.33.0"), env={}), None, None),
    "vllm-nixl-prefix-caching": (by_nixl("0.26.0", enable_prefix_caching=True), None, "0.33.0"),
    "vllm-nixl-drafts": (by_nixl("0.26.0", **DRAFTS), None, "0.33.0"),
    "vllm-nixl-drafts-new": (by_nixl("0.33.0", **DRAFTS), None, "0.26.0"),
    "vllm-hybrid-events": (with_options(FINE_VLLM, kv_events_config={"publisher": "zmq"}), None, None),
    "trtllm-nixl-mamba": (transfer(backend="NIXL"), None, None),
    "trtllm-python-transceiver": (transfer(backend="UCX", transceiver_runtime="PYTHON"), None, None),
    "sglang-nixl-device": (with_options(FINE_SGLANG, **BY_DEVICE), None, None),
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
    ("vllm-ssm-layout", dataclasses.replace(by_nixl("0.20.0"), env={"VLLM_SSM_CONV_STATE_LAYOUT": "SD"}), None),
    ("trtllm-nixl-mamba", transfer(backend="DEFAULT"), None),
    ("trtllm-nixl-mamba", transfer(backend="MOONCAKE", transceiver_runtime="CPP"), None),
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
    "vllm-ssm-layout": [
        (by_nixl("0.33.0"), None),
        (with_options(FINE_VLLM, kv_transfer_config=LMCACHE), None),
        (dataclasses.replace(by_nixl("0.33.0"), model="meta/Llama-3.1-8B-Instruct", env={}), None),
        (dataclasses.replace(by_nixl("0.33.0"), env={"VLLM_SSM_CONV_STATE_LAYOUT": None}), None),
    ],
    "vllm-nixl-prefix-caching": [
        (by_nixl("0.26.0", enable_prefix_caching=False), None),
        (with_options(at_version(FINE_VLLM, "0.26.0"), enable_prefix_caching=True), None),
    ],
    "vllm-nixl-drafts": [(by_nixl("0.26.0"), None), (by_nixl("0.20.0", **DRAFTS), None)],
    "vllm-nixl-drafts-new": [(by_nixl("0.33.0"), None), (with_options(NEWER_VLLM, **DRAFTS), None)],
    "vllm-hybrid-events": [(with_options(FINE_VLLM, kv_events_config={"enable_kv_cache_events": False}), None)],
    "trtllm-nixl-mamba": [
        (transfer(backend="UCX"), None),
        (transfer(backend="MPI"), None),
        (transfer(backend="NIXL", transceiver_runtime="PYTHON"), None),
        (dataclasses.replace(transfer(backend="DEFAULT"), env={"TRTLLM_USE_UCX_KVCACHE": "1"}), None),
        (dataclasses.replace(transfer(backend="NIXL"), model="meta/Llama-3.1-8B-Instruct"), None),
    ],
    "trtllm-python-transceiver": [
        (transfer(backend="NIXL", transceiver_runtime="PYTHON"), None),
        (transfer(backend="DEFAULT", transceiver_runtime="PYTHON"), None),
        (transfer(backend="UCX", transceiver_runtime="CPP"), None),
    ],
    "sglang-nixl-device": [
        (with_options(FINE_SGLANG, **{**BY_DEVICE, "disaggregation_transfer_backend": "mooncake"}), None),
        (with_options(FINE_SGLANG, disaggregation_transfer_backend="nixl"), None),
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

"""Starts that look like a known issue's cause and lack one part of it: the issue is not told."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.launch.checked import ISSUES, rules_of
from tests.support.launch.hybrid_starts import HYBRID_LOOK_ALIKES
from tests.support.launch.starts import (
    FINE,
    FINE_SGLANG,
    FINE_VLLM,
    MTP,
    ROUNDED,
    VLLM_MTP,
    at_version,
    of_model,
    pasted,
    with_drafts,
    with_file,
    with_options,
)
from trtnemo.launch.servers.invocation import Invocation

PADDED = {"enable_padding": True}


OWN_IDS = {"begin_thinking_phase_token": 12, "end_thinking_phase_token": 13}


RELAXED = {**MTP, "use_relaxed_acceptance_for_thinking": True}


NGRAM = {"decoding_type": "NGram", "max_draft_len": 3}


VLLM_17 = at_version(FINE_VLLM, "0.17.0")


# rule -> (start, compute capability) that is near what triggers it: each lacks one part of its cause
LOOK_ALIKES: dict[str, list[tuple[Invocation, str | None]]] = {
    "trtllm-13179": [
        (with_file(speculative_config=NGRAM, cuda_graph_config=PADDED), None),
        (with_file(cuda_graph_config={}), None),
    ],
    "trtllm-advanced-sampling": [(with_drafts(**NGRAM), None), (with_drafts(**MTP), None)],
    "trtllm-relaxed-acceptance-ids": [(with_drafts(**RELAXED, **OWN_IDS), None), (with_drafts(**MTP), None)],
    "trtllm-draft-length-key": [
        (at_version(with_drafts(decoding_type="MTP", max_draft_len=3, allow_advanced_sampling=True), "1.4"), None)
    ],
    "trtllm-long-context": [(with_options(max_seq_len=262144), None)],
    "trtllm-tensor-parallel": [
        (with_options(tensor_parallel_size=8), None),
        (dataclasses.replace(with_file(enable_attention_dp=True), options={"--tensor_parallel_size": 3}), None),
    ],
    "trtllm-tool-call-in-thinking": [
        (with_options(tool_parser="qwen3_coder"), None),
        (with_options(reasoning_parser="nano-v3"), None),
    ],
    "trtllm-force-nonempty-content": [(at_version(with_options(reasoning_parser="qwen3"), "1.3.0rc7"), None)],
    "trtllm-engine-backend": [(with_options(backend="pytorch"), None)],
    "trtllm-misplaced-cache-key": [(with_file(kv_cache_config={"mamba_ssm_cache_dtype": "float16"}), None)],
    "trtllm-default-batch": [(dataclasses.replace(with_file(max_batch_size=8), options={}), None)],
    "trtllm-stochastic-rounding": [
        (
            with_file(kv_cache_config={"mamba_ssm_stochastic_rounding": True, "mamba_ssm_cache_dtype": "float16"}),
            None,
        )
    ],
    "trtllm-block-reuse": [(with_file(kv_cache_config={"enable_block_reuse": False}), None)],
    "trtllm-16072": [
        (with_file(cuda_graph_config=PADDED, kv_cache_config={"free_gpu_memory_fraction": 0.85}), None),
        (with_file(kv_cache_config={"free_gpu_memory_fraction": 0.95}), None),
    ],
    "trtllm-nvfp4-hopper": [(of_model(FINE, "FP8"), "9.0"), (FINE, "10.0"), (FINE, None)],
    "trtllm-nvfp4-hopper-moe": [
        (with_file(moe_config={"backend": "CUTLASS"}), "9.0"),
        (with_file(moe_config={"backend": "TRTLLM"}), "10.0"),
        (of_model(with_file(moe_config={"backend": "TRTLLM"}), "FP8"), "9.0"),
    ],
    "trtllm-captured-sizes": [
        (with_file(cuda_graph_config={"batch_sizes": [1, 4], "max_batch_size": 4}), None),
        (with_file(cuda_graph_config={"batch_sizes": [1, 2]}), None),
    ],
    "trtllm-draft-schedule": [
        (with_drafts(**MTP, max_concurrency=4), None),
        (with_drafts(**MTP, draft_len_schedule={1: 3}), None),
    ],
    "trtllm-draft-length": [(with_drafts(**NGRAM), None), (with_drafts(decoding_type="MTP"), None)],
    "trtllm-decoding-backend": [(with_drafts(**NGRAM), None), (with_drafts(**MTP), None)],
    "trtllm-attention-window": [(with_file(kv_cache_config={"max_attention_window": [4096]}), None)],
    "trtllm-attention-dp-balance": [
        (with_file(attention_dp_config={"enable_balance": False, "timeout_iters": -1}), None),
        (with_file(attention_dp_config={"enable_balance": True, "timeout_iters": 0}), None),
    ],
    "trtllm-philox-rounds": [(with_file(kv_cache_config={"mamba_ssm_philox_rounds": 1}), None)],
    "trtllm-ray": [(with_file(ray_worker_extension_cls="x.y", orchestrator_type="ray"), None)],
    "trtllm-batch-over-tokens": [(with_options(max_batch_size=32, max_num_tokens=32), None)],
    "vllm-mixed-precision": [(at_version(of_model(FINE_VLLM, "BF16"), "0.15.1"), None)],
    "vllm-swap-space": [(with_options(FINE_VLLM, cpu_offload_gb=0), None)],
    "vllm-quantization": [(with_options(of_model(FINE_VLLM, "BF16"), quantization="fp8"), None)],
    "vllm-long-context": [(with_options(FINE_VLLM, max_model_len=262144), None)],
    "vllm-35447": [
        (with_options(VLLM_17, speculative_config={"method": "mtp"}), None),
        (with_options(VLLM_17, speculative_config={"method": "eagle"}, enable_chunked_prefill=True), None),
        (with_options(VLLM_17, enable_chunked_prefill=True), None),
    ],
    "vllm-stochastic-rounding": [
        (ROUNDED, "10.0"),
        (ROUNDED, "10.3"),
        (ROUNDED, None),
        (with_options(ROUNDED, mamba_backend="flashinfer"), "12.1"),
        (FINE_VLLM, "12.1"),
    ],
    "vllm-draft-head-moe": [
        (with_options(FINE_VLLM, moe_backend="marlin"), None),
        (with_options(FINE_VLLM, moe_backend="triton", speculative_config=VLLM_MTP), None),
        (
            with_options(FINE_VLLM, moe_backend="marlin", speculative_config={**VLLM_MTP, "moe_backend": "triton"}),
            None,
        ),
        (with_options(FINE_VLLM, moe_backend="marlin", speculative_config={"method": "ngram"}), None),
    ],
    "vllm-foreign-tool-parser": [
        (with_options(FINE_VLLM, tool_call_parser="qwen3_coder", enable_auto_tool_choice=True), None),
        (with_options(FINE_VLLM, tool_call_parser="hermes", tool_parser_plugin="x.py"), None),
        (with_options(dataclasses.replace(FINE_VLLM, model="nvidia/Nemotron-H-8B"), tool_call_parser="hermes"), None),
    ],
    "vllm-no-reasoning-parser": [
        (with_options(FINE_VLLM, tool_call_parser="qwen3_coder", reasoning_parser="nemotron_v3"), None),
        (FINE_VLLM, None),
    ],
    "vllm-nvfp4-hopper": [(of_model(FINE_VLLM, "FP8"), "9.0"), (FINE_VLLM, "10.0")],
    "vllm-reasoning-parser": [
        (with_options(FINE_VLLM, reasoning_parser="nemotron_v3"), None),
        (with_options(FINE_VLLM, reasoning_parser="super_v3", reasoning_parser_plugin="x.py"), None),
    ],
    "vllm-tool-parser": [
        (with_options(FINE_VLLM, tool_call_parser="qwen"), None),
        (with_options(FINE_VLLM, tool_call_parser="qwen3_coder", enable_auto_tool_choice=True), None),
    ],
    "vllm-auto-tool-choice": [
        (with_options(FINE_VLLM, tool_call_parser="qwen3_coder", enable_auto_tool_choice=True), None),
        (with_options(FINE_VLLM, enable_auto_tool_choice=True), None),
    ],
    "vllm-foreign-reasoning-parser": [
        (with_options(FINE_VLLM, reasoning_parser="deepseek_r1"), None),
        (with_options(FINE_VLLM, reasoning_parser="granite", reasoning_parser_plugin="x.py"), None),
        (dataclasses.replace(with_options(FINE_VLLM, reasoning_parser="granite"), model="ibm/granite"), None),
    ],
    "vllm-heads": [
        (with_options(FINE_VLLM, tensor_parallel_size=8), None),
        (with_options(FINE_VLLM, tensor_parallel_size=8, pipeline_parallel_size=2), None),
        (dataclasses.replace(with_options(FINE_VLLM, tensor_parallel_size=3), model="m/unknown"), None),
    ],
    "vllm-unified-memory": [
        (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.85)), "12.1"),
        (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.95)), "12.0"),
        (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.95)), None),
    ],
    "vllm-unified-memory-near": [(pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.85)), "12.1")],
    "vllm-whole-device": [
        (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.95)), "9.0"),
        (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.99)), "12.1"),
    ],
    **HYBRID_LOOK_ALIKES,
    "vllm-tokens-below-sequences": [
        (with_options(FINE_VLLM, max_num_seqs=8, max_num_batched_tokens=8), None),
        (with_options(FINE_VLLM, max_num_batched_tokens=4), None),
    ],
    "vllm-draft-number": [(with_options(FINE_VLLM, speculative_config=VLLM_MTP), None)],
    "vllm-moved-plugin": [(with_options(FINE_VLLM, tool_parser_plugin="mine.py"), None)],
    "vllm-reasoning-config": [(with_options(FINE_VLLM, reasoning_config={"reasoning_start_str": "a"}), None)],
    "sglang-foreign-tool-parser": [(with_options(FINE_SGLANG, tool_call_parser="qwen3_coder"), None)],
    "sglang-foreign-reasoning-parser": [(with_options(FINE_SGLANG, reasoning_parser="nemotron_3"), None)],
    "sglang-no-reasoning-parser": [
        (with_options(FINE_SGLANG, tool_call_parser="qwen3_coder", reasoning_parser="nemotron_3"), None)
    ],
    "sglang-heads": [
        (with_options(FINE_SGLANG, tensor_parallel_size=4), None),
        (with_options(FINE_SGLANG, tensor_parallel_size=6, enable_dp_attention=True), None),
    ],
    "trtllm-autodeploy-parallel": [
        (with_options(backend="_autodeploy"), None),
        (with_options(tensor_parallel_size=2), None),
    ],
    "trtllm-autodeploy-batch": [(with_options(max_batch_size=64, max_num_tokens=32), None)],
    "trtllm-foreign-tool-parser": [(with_options(tool_parser="qwen3_coder"), None)],
    "trtllm-foreign-reasoning-parser": [(with_options(reasoning_parser="nano-v3"), None)],
    "trtllm-no-reasoning-parser": [
        (with_options(tool_parser="qwen3_coder", reasoning_parser="nano-v3"), None),
        (with_options(reasoning_parser="nano-v3"), None),
    ],
    "sglang-draft-radix-cache": [
        (with_options(FINE_SGLANG, speculative_algorithm="NEXTN", disable_radix_cache=True), None),
        (with_options(FINE_SGLANG, mamba_scheduler_strategy="extra_buffer"), None),
        (with_options(dataclasses.replace(FINE_SGLANG, model="meta/L"), speculative_algorithm="NEXTN"), None),
    ],
    "sglang-piecewise-cuda-graph": [(with_options(FINE_SGLANG, disable_cuda_graph=True), None)],
    "sglang-long-context": [(with_options(FINE_SGLANG, context_length=262144), None)],
    "sglang-mtp-pro-6000": [
        (with_options(FINE_SGLANG, speculative_algorithm="NEXTN"), "10.0"),
        (FINE_SGLANG, "12.0"),
    ],
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_looks_like_an_issue_and_is_none_is_not_told(name: str) -> None:
    for invocation, capability in LOOK_ALIKES[name]:
        assert name not in rules_of(invocation, capability), (invocation, capability)


def test_every_issue_has_look_alikes() -> None:
    assert {issue.name for issue in ISSUES} == LOOK_ALIKES.keys()

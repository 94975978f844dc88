"""Every known issue is triggered by what triggers it, in the versions that have it, and by nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.checked import ISSUES, rules_of
from tests.support.launch.hybrid_starts import HYBRID_TRIGGERS, OTHER_TRIGGERS
from tests.support.launch.starts import (
    FINE,
    FINE_SGLANG,
    FINE_VLLM,
    MTP,
    ROUNDED,
    SUPER,
    VLLM_MTP,
    at_version,
    pasted,
    with_file,
    with_options,
)
from trtnemo.launch.check import check_invocation

# rule -> (what triggers it, compute capability, a version without it)
TRIGGERS = {
    "trtllm-13179": (with_file(cuda_graph_config={"enable_padding": True}), None, "1.3.0rc14"),
    "trtllm-advanced-sampling": (with_file(speculative_config={"decoding_type": "MTP"}), None, None),
    "trtllm-relaxed-acceptance-ids": (
        with_file(speculative_config={**MTP, "use_relaxed_acceptance_for_thinking": True}),
        None,
        None,
    ),
    "trtllm-draft-length-key": (at_version(FINE, "1.4"), None, "1.3.0rc12"),
    "trtllm-long-context": (with_options(max_seq_len=1048576), None, None),
    "trtllm-tensor-parallel": (with_options(tensor_parallel_size=3), None, None),
    "trtllm-tool-call-in-thinking": (
        with_options(tool_parser="qwen3_coder", reasoning_parser="nano-v3"),
        None,
        "1.3.0rc21",
    ),
    "trtllm-force-nonempty-content": (
        at_version(with_options(reasoning_parser="nano-v3"), "1.3.0rc7"),
        None,
        "1.3.0rc8",
    ),
    "trtllm-engine-backend": (with_options(backend="tensorrt"), None, None),
    "trtllm-misplaced-cache-key": (with_file(mamba_ssm_cache_dtype="float16"), None, None),
    "trtllm-default-batch": (dataclasses.replace(FINE, options={}), None, None),
    "trtllm-stochastic-rounding": (with_file(kv_cache_config={"mamba_ssm_stochastic_rounding": True}), None, None),
    "trtllm-block-reuse": (with_file(kv_cache_config={"enable_block_reuse": True}), None, "1.3.0rc14"),
    "trtllm-16072": (with_file(cuda_graph_config={"enable_padding": True}), None, "1.3.0rc22"),
    "trtllm-nvfp4-hopper": (FINE, "9.0", None),
    "trtllm-nvfp4-hopper-moe": (with_file(moe_config={"backend": "TRTLLM"}), "9.0", None),
    "trtllm-captured-sizes": (
        with_file(cuda_graph_config={"batch_sizes": [1, 2], "max_batch_size": 4}),
        None,
        None,
    ),
    "trtllm-draft-schedule": (
        with_file(speculative_config={**MTP, "max_concurrency": 4, "draft_len_schedule": {1: 3}}),
        None,
        None,
    ),
    "trtllm-draft-length": (with_file(speculative_config={"decoding_type": "NGram"}), None, None),
    "trtllm-decoding-backend": (with_file(speculative_config={"decoding_type": "Medusa"}), None, None),
    "trtllm-attention-window": (with_file(kv_cache_config={"max_attention_window": []}), None, None),
    "trtllm-attention-dp-balance": (
        with_file(attention_dp_config={"enable_balance": True, "timeout_iters": -1}),
        None,
        None,
    ),
    "trtllm-philox-rounds": (with_file(kv_cache_config={"mamba_ssm_philox_rounds": 0}), None, None),
    "trtllm-ray": (with_file(ray_worker_extension_cls="x.y"), None, None),
    "trtllm-batch-over-tokens": (with_options(max_batch_size=64, max_num_tokens=32), None, None),
    "trtllm-autodeploy-parallel": (with_options(backend="_autodeploy", tensor_parallel_size=2), None, None),
    "trtllm-autodeploy-batch": (
        with_options(backend="_autodeploy", max_batch_size=64, max_num_tokens=32),
        None,
        None,
    ),
    "trtllm-foreign-tool-parser": (with_options(tool_parser="qwen3"), None, None),
    "trtllm-foreign-reasoning-parser": (with_options(reasoning_parser="qwen3"), None, None),
    "trtllm-no-reasoning-parser": (with_options(tool_parser="qwen3_coder"), None, None),
    "vllm-mixed-precision": (at_version(FINE_VLLM, "0.15.1"), None, "0.16.0"),
    "vllm-swap-space": (None, None, None),  # tests/launch/pasted/test_command.py: it needs a text
    "vllm-quantization": (with_options(FINE_VLLM, quantization="fp4"), None, None),
    "vllm-long-context": (with_options(FINE_VLLM, max_model_len=1048576), None, None),
    "vllm-35447": (
        at_version(
            with_options(FINE_VLLM, speculative_config={"method": "mtp"}, enable_chunked_prefill=True),
            "0.17.0",
        ),
        None,
        "0.18.0",
    ),
    "vllm-nvfp4-hopper": (FINE_VLLM, "9.0", None),
    "vllm-stochastic-rounding": (ROUNDED, "12.1", None),
    "vllm-draft-head-moe": (with_options(FINE_VLLM, moe_backend="marlin", speculative_config=VLLM_MTP), None, None),
    "vllm-foreign-tool-parser": (
        with_options(FINE_VLLM, tool_call_parser="hermes", enable_auto_tool_choice=True),
        None,
        None,
    ),
    "vllm-no-reasoning-parser": (
        with_options(FINE_VLLM, tool_call_parser="qwen3_coder", enable_auto_tool_choice=True),
        None,
        None,
    ),
    "vllm-foreign-reasoning-parser": (with_options(FINE_VLLM, reasoning_parser="granite"), None, None),
    "vllm-heads": (with_options(FINE_VLLM, tensor_parallel_size=3), None, None),
    "vllm-unified-memory": (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.95)), "12.1", None),
    "vllm-unified-memory-near": (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.88)), "11.0", None),
    "vllm-whole-device": (pasted(with_options(FINE_VLLM, gpu_memory_utilization=0.99)), "9.0", None),
    "vllm-tokens-below-sequences": (
        with_options(FINE_VLLM, max_num_seqs=8, max_num_batched_tokens=4),
        None,
        None,
    ),
    "vllm-draft-number": (
        with_options(FINE_VLLM, speculative_config={"method": "mtp", "num_speculative_tokens": 0}),
        None,
        None,
    ),
    "vllm-moved-plugin": (
        with_options(FINE_VLLM, tool_parser_plugin="x/nemotron_toolcall_parser_no_streaming.py"),
        None,
        "0.14.1",
    ),
    "vllm-reasoning-config": (
        with_options(FINE_VLLM, reasoning_config={"reasoning_start_str": "<think>"}, reasoning_parser="nemotron_v3"),
        None,
        "0.21.0",
    ),
    "vllm-reasoning-parser": (with_options(FINE_VLLM, reasoning_parser="super_v3"), None, None),
    "vllm-tool-parser": (with_options(FINE_VLLM, tool_call_parser="qwen", enable_auto_tool_choice=True), None, None),
    "vllm-auto-tool-choice": (with_options(FINE_VLLM, tool_call_parser="qwen3_coder"), None, None),
    **HYBRID_TRIGGERS,
    "sglang-draft-radix-cache": (with_options(FINE_SGLANG, speculative_algorithm="NEXTN"), None, "0.5.23"),
    "sglang-piecewise-cuda-graph": (with_options(FINE_SGLANG, disable_piecewise_cuda_graph=True), None, None),
    "sglang-long-context": (with_options(FINE_SGLANG, context_length=1048576), None, None),
    "sglang-foreign-tool-parser": (with_options(FINE_SGLANG, tool_call_parser="hermes"), None, None),
    "sglang-foreign-reasoning-parser": (with_options(FINE_SGLANG, reasoning_parser="qwen3"), None, None),
    "sglang-no-reasoning-parser": (with_options(FINE_SGLANG, tool_call_parser="qwen3_coder"), None, None),
    "sglang-heads": (with_options(FINE_SGLANG, tensor_parallel_size=6), None, None),
    "sglang-mtp-pro-6000": (with_options(FINE_SGLANG, speculative_algorithm="NEXTN"), "12.0", None),
}


def test_every_rule_has_a_trigger_here_and_says_what_to_do() -> None:
    assert {issue.name for issue in ISSUES} == TRIGGERS.keys()
    for issue in ISSUES:
        assert issue.symptom
        assert issue.source
        assert issue.remedy


@pytest.mark.parametrize("name", [name for name, (trigger, _, _) in TRIGGERS.items() if trigger is not None])
def test_a_rule_is_triggered_by_its_cause_alone_and_in_its_versions(name: str) -> None:
    invocation, capability, version_without = TRIGGERS[name]
    assert invocation is not None
    assert name in rules_of(invocation, capability)
    if version_without is not None:
        assert name not in rules_of(at_version(invocation, version_without), capability)


@pytest.mark.parametrize(("name", "start", "capability"), OTHER_TRIGGERS)
def test_a_rule_knows_every_form_of_its_cause(name: str, start: Any, capability: str | None) -> None:
    assert name in rules_of(start, capability)


@pytest.mark.parametrize(
    ("model", "is_hybrid"),
    [
        (SUPER, True),
        ("nvidia/Nemotron-H-8B-Base-8K", True),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", True),
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1", False),
        ("meta-llama/Llama-3.1-8B", False),
    ],
)
def test_limits_of_mamba_states_concern_the_hybrids_alone(model: Any, is_hybrid: bool) -> None:
    for options in ({}, {"--max_batch_size": 8, "--tensor_parallel_size": 3}):
        invocation = dataclasses.replace(FINE, model=model, options=options)
        assert bool(rules_of(invocation) & {"trtllm-default-batch", "trtllm-tensor-parallel"}) == is_hybrid


@pytest.mark.parametrize(
    ("model", "is_told"),
    [
        (SUPER, False),
        ("nvidia/NVIDIA-Nemotron-Labs-3-Puzzle-75B-A9B-NVFP4", False),
        ("nvidia/NVIDIA-Nemotron-Parse-v1", True),
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1", False),
        ("meta-llama/Llama-3.1-8B", False),
    ],
)
def test_a_name_of_the_family_that_is_not_known_is_told(model: str, is_told: bool) -> None:
    assert ("unknown-member" in rules_of(dataclasses.replace(FINE, model=model))) == is_told


def test_rules_of_the_hybrids_reach_the_labs_models() -> None:
    labs = dataclasses.replace(FINE, model="nvidia/NVIDIA-Nemotron-Labs-3-Elastic-30B-A3B", options={})
    assert "trtllm-default-batch" in rules_of(labs)


@pytest.mark.parametrize(("text", "is_hybrid"), [('{"model_type": "nemotron_h"}', True), ("{}", False), ("[", False)])
def test_a_local_model_is_what_its_config_says(text: str, is_hybrid: bool, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    invocation = dataclasses.replace(FINE, model=str(tmp_path), options={})
    assert ("trtllm-default-batch" in rules_of(invocation)) == is_hybrid


@pytest.mark.parametrize(
    ("capability", "is_told"), [("8.0", True), ("8.9", True), ("9.0", True), ("10.0", False), ("12.1", False)]
)
def test_every_device_before_blackwell_runs_nvfp4_as_w4a16(capability: str, is_told: bool) -> None:
    assert ("trtllm-nvfp4-hopper" in rules_of(FINE, capability)) == is_told


def test_a_sound_start_triggers_nothing() -> None:
    for invocation in (FINE, FINE_VLLM, FINE_SGLANG):
        assert rules_of(invocation, "10.0") == set()


def test_variables_lift_the_limit_of_positions() -> None:
    for base, option, variable, value in (
        (FINE, "max_seq_len", "TLLM_ALLOW_LONG_MAX_MODEL_LEN", "1"),
        (FINE_VLLM, "max_model_len", "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1"),
        (FINE_SGLANG, "context_length", "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN", "1"),
    ):
        long = with_options(base, **{option: 1048576})
        assert not check_invocation(long).passed
        assert check_invocation(dataclasses.replace(long, env={variable: value})).passed


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("[E] run out of mamba cache blocks", "trtllm-13179"),
        ("vllm: error: unrecognized arguments: --swap-space 0", "vllm-swap-space"),
        ("set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1", "vllm-long-context"),
        ("INFO all is well", None),
    ],
)
def test_a_line_of_log_shows_its_issue(line: str, name: str | None) -> None:
    assert next((issue.name for issue in ISSUES if issue.explains(line)), None) == name

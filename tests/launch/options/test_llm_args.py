"""TensorRT-LLM's YAML is compared with its classes, at every depth."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.launch.options.llm_args import check_llm_args
from trtnemo.launch.servers.surface import load_surface

OLD, NEW = load_surface("trtllm", "1.3.0rc12"), load_surface("trtllm", "1.4")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("data", "subject", "words"),
    [
        ({"max_batch_sice": 8}, "max_batch_sice", "Did you mean 'max_batch_size'?"),
        ({"kv_cache_config": {"dtyp": "fp8"}}, "kv_cache_config.dtyp", "Did you mean 'dtype'?"),
        ({"mamba_ssm_cache_dtype": "float16"}, "mamba_ssm_cache_dtype", "It belongs under kv_cache_config"),
        ({"free_gpu_memory_fraction": 0.9}, "free_gpu_memory_fraction", "It belongs under kv_cache_config"),
        ({"kv_cache_config": {"free_gpu_memory_fraction": 1.5}}, "kv_cache_config.free_gpu_memory_fraction", "range"),
        ({"kv_cache_config": "fp8"}, "kv_cache_config", "must be dict"),
        ({"moe_config": {"backend": "CUTLAS"}}, "moe_config.backend", "did you mean 'CUTLASS'?"),
        ({"stream_interval": 0}, "stream_interval", "out of range"),
        ({"max_batch_size": -1}, "max_batch_size", "-1 is out of range (1.."),
        (
            {"cuda_graph_config": {"batch_sizes": ["a", "b"]}},
            "cuda_graph_config.batch_sizes",
            "list of int, not of 'a'",
        ),
        ({"kv_cache_config": {"max_attention_window": [1.5]}}, "kv_cache_config.max_attention_window", "not of 1.5"),
        ({"lora_config": {"lora_dir": [1]}}, "lora_config.lora_dir", "list of str"),
        ({"stream_interval": True}, "stream_interval", "must be int"),
        ({"speculative_config": {"decoding_type": "mtp"}}, "speculative_config", "did you mean 'MTP'?"),
        ({"speculative_config": {"decoding_type": "MTP", "draft": 3}}, "speculative_config.draft", "no such key"),
        ({"generation_config": "auto"}, "generation_config", "1.4 has it"),
        ({"moe_config": {"load_balancer": {"slots": 3}}}, "moe_config.load_balancer.slots", "no such key"),
    ],
)
def test_a_wrong_key_or_value_is_found_at_its_place(data: dict[str, Any], subject: str, words: str) -> None:
    [finding] = check_llm_args(OLD, data)
    assert (finding.severity, finding.subject) == ("error", subject)
    assert words in finding.text


def test_what_only_one_snapshot_has_warns() -> None:
    tried: tuple[dict[str, Any], ...] = ({"telemetry_config": {}}, {"moe_config": {"backend": "DENSEGEMM"}})
    for data in tried:
        assert {finding.severity for finding in check_llm_args(OLD, data)} == {"warning"}


def test_versions_differ() -> None:
    gone = {"moe_config": {"backend": "WIDEEP"}}
    assert check_llm_args(OLD, gone) == []
    assert [finding.severity for finding in check_llm_args(NEW, gone)] == ["error"]
    draft = {"speculative_config": {"decoding_type": "MTP", "num_nextn_predict_layers": 3}}
    assert check_llm_args(OLD, draft) == []
    assert [finding.rule for finding in check_llm_args(NEW, draft)] == ["deprecated-key"]


def test_texts_that_the_server_folds_are_taken_in_any_case() -> None:
    assert check_llm_args(OLD, {"kv_cache_config": {"dtype": "FP8"}, "cp_config": {"cp_type": "ulysses"}}) == []
    assert [f.rule for f in check_llm_args(OLD, {"moe_config": {"backend": "cutlass"}})] == ["key-value"]


def test_what_the_server_drops_is_told() -> None:
    assert [(f.severity, f.rule, f.subject) for f in check_llm_args(OLD, {"build_config": {"a": 1}})] == [
        ("note", "ignored-key", "build_config")
    ]


def test_nulls_and_keys_that_serve_itself_reads_are_taken() -> None:
    assert check_llm_args(OLD, {"max_batch_size": None, "cuda_graph_config": None, "disagg_cluster": {"a": 1}}) == []


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*OLD.classes["TorchLlmArgs"]]) | st.text(max_size=8), PLAIN, max_size=4) | PLAIN
)
def test_any_data_is_checked_without_breaking(data: Any) -> None:
    for surface in (OLD, NEW):
        findings = check_llm_args(surface, data)
        assert all(finding.rule and finding.message for finding in findings)
        if not isinstance(data, dict):
            assert [finding.rule for finding in findings] == ["file-root"]
            continue
        known = surface.classes["TorchLlmArgs"].keys() | surface.file_only
        told = {finding.subject for finding in findings if finding.rule == "unknown-key"}
        assert {key for key in data if key not in known} <= told

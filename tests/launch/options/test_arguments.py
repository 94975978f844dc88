"""Words are read as the server's own parser would read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.launch.starts import start_of
from trtnemo.launch.options.arguments import parse_arguments
from trtnemo.launch.options.checking import check_options
from trtnemo.launch.servers.surface import load_surface

VLLM, TRTLLM, SGLANG = (
    load_surface("vllm", "0.20.0"),
    load_surface("trtllm", "1.3.0rc12"),
    load_surface("sglang", "0.5.10"),
)


SHARE = ("error", "option-value", "--kv_cache_free_gpu_memory_fraction")


def findings_of(surface: Any, words: Any) -> Any:
    """Return what is wrong with the words and with the values that they hold."""
    parsed = parse_arguments(surface, words)
    start = start_of(surface.server, surface.version, "m", parsed.values, unknown=parsed.unknown)
    return [*parsed.findings, *check_options(start)]


def rules(findings: Any) -> Any:
    return [(finding.severity, finding.rule, finding.subject) for finding in findings]


@pytest.mark.parametrize(
    ("surface", "words", "values"),
    [
        (VLLM, ["--max-model-len", "1k"], {"--max-model-len": 1000}),
        (VLLM, ["--max-model-len", "1K"], {"--max-model-len": 1024}),
        (VLLM, ["--max_model_len=auto"], {"--max-model-len": -1}),
        (VLLM, ["-tp", "2"], {"--tensor-parallel-size": 2}),
        (VLLM, ["--no-enable-chunked-prefill"], {"--enable-chunked-prefill": False}),
        (
            VLLM,
            ["--served-model-name", "a", "b", "--port", "1234"],
            {"--served-model-name": ["a", "b"], "--port": 1234},
        ),
        (VLLM, ["--speculative-config.method", "mtp"], {"--speculative-config": {"method": "mtp"}}),
        (
            VLLM,
            ["--speculative-config.method", "mtp", "--speculative-config.num_speculative_tokens", "3"],
            {"--speculative-config": {"method": "mtp", "num_speculative_tokens": 3}},
        ),
        (TRTLLM, ["--tp_size", "2", "--trust_remote_code"], {"--tensor_parallel_size": 2, "--trust_remote_code": True}),
        (TRTLLM, ["--config", "x.yml"], {"--extra_llm_api_options": "x.yml"}),
        (SGLANG, ["--tp-size", "8"], {"--tensor-parallel-size": 8}),
    ],
)
def test_values_come_by_the_longest_name(surface: Any, words: list[Any], values: dict[str, Any]) -> None:
    parsed = parse_arguments(surface, words)
    assert parsed.values == values
    assert findings_of(surface, words) == []


@pytest.mark.parametrize(
    ("surface", "words", "finding"),
    [
        (VLLM, ["--swap-space", "0"], ("error", "unknown-option", "--swap-space")),
        (TRTLLM, ["--max-batch-size", "8"], ("error", "unknown-option", "--max-batch-size")),
        (TRTLLM, ["--max_batch", "8"], ("error", "unknown-option", "--max_batch")),
        (TRTLLM, ["--max_batch_size", "-1"], ("error", "option-value", "--max_batch_size")),
        (TRTLLM, ["--kv_cache_free_gpu_memory_fraction", "1.5"], SHARE),
        (VLLM, ["--port", "65536"], ("error", "option-value", "--port")),
        (VLLM, ["--gpu-memory-utilization", "90"], ("error", "option-value", "--gpu-memory-utilization")),
        (VLLM, ["--max-num-seqs", "0"], ("error", "option-value", "--max-num-seqs")),
        (SGLANG, ["--tp-size=-2"], ("error", "option-value", "--tensor-parallel-size")),
        (TRTLLM, ["--max_batch_size", "eight"], ("error", "option-value", "--max_batch_size")),
        (TRTLLM, ["--kv_cache_dtype", "fp4"], ("error", "option-value", "--kv_cache_dtype")),
        (TRTLLM, ["--reasoning_parser", "kimi_k2"], ("warning", "uncertain-value", "--reasoning_parser")),
        (TRTLLM, ["--telemetry"], ("warning", "uncertain-option", "--telemetry")),
        (TRTLLM, ["--trust_remote_code=yes"], ("error", "option-value", "--trust_remote_code")),
        (TRTLLM, ["--port"], ("error", "option-value", "--port")),
        (VLLM, ["--speculative-config", "{"], ("error", "option-value", "--speculative-config")),
        (VLLM, ["--speculative-config", '{"methd": "mtp"}'], ("error", "unknown-key", "--speculative-config methd")),
        (VLLM, ["--moe-backend", "marlim"], ("error", "option-value", "--moe-backend")),
        (VLLM, ["--max-num-se", "4"], ("note", "abbreviated-option", "--max-num-se")),
        (VLLM, ["--max-num", "4"], ("error", "unknown-option", "--max-num")),
        (VLLM, ["--port", "1", "--port", "2"], ("note", "option-twice", "--port")),
    ],
)
def test_what_a_server_refuses_or_doubts_is_found(surface: Any, words: list[Any], finding: Any) -> None:
    assert finding in rules(findings_of(surface, words))


NEWER = load_surface("vllm", "0.33.0")
MTP = {"method": "mtp", "num_speculative_tokens": 3}


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("--enable-expert-parallel", "--enable-expert-parallel", True),
        ("-ep", "--enable-expert-parallel", True),
        ("--disable-expert-parallel", "--enable-expert-parallel", False),
        ("--no-enable-expert-parallel", "--enable-expert-parallel", False),
        ("--disable_chunked_prefill", "--enable-chunked-prefill", False),
        ("--disable-custom-all-reduce", "--disable-custom-all-reduce", True),
        ("--enable-custom-all-reduce", "--disable-custom-all-reduce", False),
        ("--no-disable-custom-all-reduce", "--disable-custom-all-reduce", False),
        ("--no-async-scheduling", "--async-scheduling", False),
    ],
)
def test_each_spelling_of_a_switch_means_what_it_does_to_the_server(word: str, name: str, value: bool) -> None:
    assert parse_arguments(NEWER, [word]).values == {name: value}
    assert findings_of(NEWER, [word]) == []


def test_every_switch_is_on_by_its_own_name_alone() -> None:
    for surface in (VLLM, NEWER, TRTLLM, SGLANG, load_surface("sglang", "0.5.23"), load_surface("trtllm", "1.4")):
        for option in surface.options:
            if not option.takes_value:
                for name in option.names:
                    assert parse_arguments(surface, [name]).values == {option.name: name not in option.negatives}
                assert option.names[0] not in option.negatives


@pytest.mark.parametrize(
    ("words", "values", "positional"),
    [
        (["-n4", "-q", "fp8"], {"--nnodes": 4, "--quantization": "fp8"}, []),
        (["-tp=2", "--", "-x"], {"--tensor-parallel-size": 2}, ["-x"]),
        (["--port", "1", "stray"], {"--port": 1}, ["stray"]),
        (
            ["--hf-overrides.a.b+", "x,y", "--hf-overrides.a.b+=z"],
            {"--hf-overrides": {"a": {"b": ["x", "y", "z"]}}},
            [],
        ),
        (["--hf-overrides.a", "80k", "m"], {"--hf-overrides": {"a": 80000}}, ["m"]),
        (["-sc.method", "mtp", "-sc.num_speculative_tokens=3"], {"--speculative-config": MTP}, []),
    ],
)
def test_words_are_split_as_argparse_splits_them(words: list[str], values: object, positional: list[str]) -> None:
    parsed = parse_arguments(NEWER, words)
    assert (parsed.values, parsed.positional, parsed.findings) == (values, positional, [])


@pytest.mark.parametrize(
    ("surface", "words", "values", "positional", "unknown"),
    [
        (NEWER, ["--max-num=3", "m"], {}, ["m"], {"--max-num": "3"}),
        (NEWER, ["--new-option=v", "m"], {}, ["m"], {"--new-option": "v"}),
        (NEWER, ["--new-option=", "m"], {}, ["m"], {"--new-option": ""}),
        (NEWER, ["--enforce-eager=1", "m"], {"--enforce-eager": True}, ["m"], {}),
        (NEWER, ["--speculative-con.method", "mtp", "m"], {"--speculative-config": {"method": "mtp"}}, ["m"], {}),
        (NEWER, ["--chat-template", "- x", "m"], {"--chat-template": "- x"}, ["m"], {}),
        (NEWER, ["--seed", "-1", "m"], {"--seed": -1}, ["m"], {}),
        (NEWER, ["--served-model-name", "a", "-b c"], {"--served-model-name": ["a", "-b c"]}, [], {}),
        (TRTLLM, ["--host", "-x", "m"], {"--host": "-x"}, ["m"], {}),
        (TRTLLM, ["--host", "--port", "m"], {"--host": "--port"}, ["m"], {}),
        (TRTLLM, ["--trust_remote_code", "m"], {"--trust_remote_code": True}, ["m"], {}),
    ],
)
def test_no_word_is_lost_and_none_is_taken_for_another(
    surface: Any, words: list[str], values: object, positional: list[str], unknown: object
) -> None:
    parsed = parse_arguments(surface, words)
    assert (parsed.values, parsed.positional, parsed.unknown) == (values, positional, unknown)


def test_an_abbreviation_is_explained_by_what_it_abbreviates() -> None:
    [finding] = parse_arguments(NEWER, ["--disable-expert-par"]).findings
    assert "taken for --disable-expert-parallel" in finding.message


def test_dotted_options_replace_an_object_that_is_given_whole() -> None:
    words = ["-sc.method", "mtp", "--speculative-config", '{"num_speculative_tokens": 5}']
    parsed = parse_arguments(NEWER, words)
    assert parsed.values == {"--speculative-config": {"method": "mtp"}}
    assert rules(parsed.findings) == [("warning", "option-twice", "--speculative-config")]


def test_an_unknown_option_is_told_with_the_nearest_and_with_the_versions_that_have_it() -> None:
    [finding] = findings_of(SGLANG, ["--disable-piecwise-cuda-graph"])
    assert "Did you mean '--disable-piecewise-cuda-graph'?" in finding.remedy
    [finding] = findings_of(load_surface("sglang", "0.5.23"), ["--disable-piecewise-cuda-graph"])
    assert "0.5.10 has it" in finding.message


def test_an_unknown_option_takes_its_value_with_it_and_never_the_model() -> None:
    parsed = parse_arguments(VLLM, ["model", "--swap-space", "0", "--port", "8000"])
    assert parsed.positional == ["model"]
    assert parsed.values == {"--port": 8000}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(max_size=12) | st.sampled_from(["--port", "-tp", "--no-x", "--a.b", "--speculative-config", "="]))
)
def test_any_words_are_read_without_breaking(words: Any) -> None:
    for surface in (VLLM, TRTLLM, SGLANG):
        parsed, findings = parse_arguments(surface, words), findings_of(surface, words)
        assert parsed.values.keys() <= {option.name for option in surface.by_name.values()}
        assert set(parsed.positional) <= set(words)
        assert all(finding.rule and finding.subject and finding.message for finding in findings)
        # what is not an option's value, and no word by itself, is reported
        assert findings or not parsed.unknown
        if not findings and not any(word.startswith("-") for word in words):
            assert parsed.positional == words

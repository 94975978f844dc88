"""Quantization blocks of other tools, made by an attacker or by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checkpoints.configs import BASE
from trtnemo.checkpoint import parse_config
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.quantization import read_quantization
from trtnemo.errors import CheckpointError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 256) | st.integers(2**62, 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.lists(st.sampled_from(["Linear", "Embedding", "re:.*proj", "re:(", "lm_head", "mtp", "", "re:"]), max_size=3)


def keys(**values: Any) -> Any:
    return st.fixed_dictionaries({}, optional={key: value | VALUES for key, value in values.items()})


WEIGHTS = keys(
    num_bits=st.sampled_from([4, 8]), type=st.sampled_from(["float", "int"]), group_size=st.sampled_from([16, -1]),
    strategy=st.sampled_from(["tensor", "channel", "block"]), block_structure=st.just([128, 128]),
)  # fmt: skip
GROUP = keys(targets=NAMES, weights=WEIGHTS, input_activations=keys(dynamic=st.just("local")))
BLOCKS = keys(
    quant_method=st.sampled_from(["compressed-tensors", "awq", "gptq", "fp8", "bitsandbytes", "modelopt"]),
    config_groups=st.dictionaries(st.text(max_size=3), GROUP, max_size=2), ignore=NAMES, bits=st.just(4),
    group_size=st.just(64), weight_block_size=st.just([128, 128]), modules_to_not_convert=NAMES,
    dynamic=st.dictionaries(st.sampled_from(["-:.*", "+:lm", "("]), keys(bits=st.just(8)), max_size=2),
    modules_in_block_to_quantize=st.lists(NAMES, max_size=2), mode=st.just("affine"), format=st.text(max_size=3),
    sparsity_config=keys(format=st.just("dense")), lm_head=st.booleans(),
)  # fmt: skip


@pytest.mark.fuzz
@given(st.sampled_from(["quantization_config", "quantization", "compression_config"]), BLOCKS)
def test_any_block_is_read_or_refused(key: str, block: Any) -> None:
    try:
        found = read_quantization(Path("nowhere"), {key: block})
    except CheckpointError as error:
        assert str(error).startswith("nowhere/config.json: ")
        assert len(str(error).splitlines()) == 1
        return
    config = parse_config({**BASE, "intermediate_size": 64})
    assert all(size >= 0 for item in expected_tensors(config, found) for size in item.shape)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|aa)*b", ".*.*.*.*.*x", "a{1,9}" * 5, "(x", "a" * 1001, r"(\w*)*", "[a-z]+[a-z]+[a-z]+[a-z]+[a-z]+"],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    group = {"targets": [f"re:{pattern}"], "weights": {"num_bits": 8, "type": "float"}}
    block = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    with pytest.raises(CheckpointError, match="pattern"):
        read_quantization(Path("nowhere"), {"quantization_config": block})


def test_more_patterns_than_anyone_writes_are_refused() -> None:
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}
    block = {"quant_method": "compressed-tensors", "config_groups": {"g": group}, "ignore": ["re:a"] * 65}
    with pytest.raises(CheckpointError, match="holds 65 patterns"):
        read_quantization(Path("nowhere"), {"quantization_config": block})

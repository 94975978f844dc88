"""Configs made by an attacker, or by accident: absurd sizes, wrong types, maps with holes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.checkpoints.configs import BASE
from tests.support.checkpoints.spoil import edit_config
from trtnemo.checkpoint import Checkpoint, parse_config
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap, read_quantization
from trtnemo.errors import CheckpointError, ModelConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=2000, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(BASE)), JSON, min_size=1, max_size=3))
def test_any_config_is_read_or_refused(changes):
    with contextlib.suppress(ModelConfigError):
        parse_config({**BASE, **changes})


@settings(max_examples=1000, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["quant_algo", "ignore", "quantized_layers", "producer", "kv_cache_scheme"]), JSON)
)
def test_any_map_is_read_or_refused(block):
    with contextlib.suppress(CheckpointError):
        read_quantization(Path("nowhere"), {"quantization_config": block})


@pytest.mark.parametrize(
    "changes",
    [
        {"n_routed_experts": 0},
        {"n_routed_experts": -1},
        {"n_routed_experts": 2**40},
        {"hidden_size": 0},
        {"hidden_size": 10**30},
        {"hybrid_override_pattern": "M" * 10_000_000, "num_hidden_layers": None},
        {"num_key_value_heads": 0},
        {"num_nextn_predict_layers": 1000},
    ],
)
def test_absurd_sizes_are_refused(changes):
    with pytest.raises(ModelConfigError):
        parse_config({**BASE, **changes})


def test_a_network_with_more_tensors_than_anyone_stores_is_refused():
    """Four billion experts would be listed one by one."""
    with pytest.raises(ModelConfigError, match="experts"):
        list(expected_tensors(parse_config({**BASE, "n_routed_experts": 2**31}), QuantizationMap()))


def test_bare_infinity_is_accepted(copy_checkpoint):
    directory = copy_checkpoint()
    edit_config(directory, time_step_limit=[0.0, float("inf")])
    assert "Infinity" in (directory / "config.json").read_text()
    assert Checkpoint.open(directory).config.time_step_limit[1] == float("inf")


@pytest.mark.parametrize("name", ["config.json", "hf_quant_config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["", "[]", "nul", '{"a": ' * 50_000, '{"model": {"vocab": 3}, "model": {}}', "\ud800"])
def test_any_spoiled_json_file_is_one_line_and_an_exit_code(copy_checkpoint, name, text):
    directory = copy_checkpoint("mixed")
    (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    result = subprocess.run([sys.executable, "-m", "trtnemo", "check", directory], capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("\n")) == (4, 1), result.stderr


def test_a_tokenizer_of_odd_shape_is_no_traceback(copy_checkpoint):
    directory = copy_checkpoint()
    for content in ({"model": 3}, {"model": {"vocab": 3}}, {"added_tokens": 3}, {"model": {"vocab": {"a": "b"}}}):
        (directory / "tokenizer.json").write_text(json.dumps(content))
        result = subprocess.run([sys.executable, "-m", "trtnemo", "check", directory], capture_output=True, text=True)
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("target", ["/dev/zero", "fifo"])
def test_a_config_that_is_no_file_is_refused_unread(copy_checkpoint, target):
    directory = copy_checkpoint()
    (directory / "config.json").unlink()
    if target == "fifo":
        os.mkfifo(directory / "config.json")
    else:
        (directory / "config.json").symlink_to(target)
    with pytest.raises(CheckpointError, match="no regular file"):
        Checkpoint.survey(directory)


def test_foreign_text_neither_forges_a_verdict_nor_breaks_the_output(copy_checkpoint):
    directory = copy_checkpoint()
    config = json.loads((directory / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "x\npassed: 0 errors\udc80"}
    (directory / "config.json").write_text(json.dumps(config))
    for flags in ((), ("--json",)):
        result = subprocess.run(
            [sys.executable, "-m", "trtnemo", "check", directory, *flags], capture_output=True, text=True
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert "\npassed: 0 errors\\" not in result.stdout

"""Configs made by an attacker, or by accident: absurd sizes, wrong types, maps with holes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checkpoints.configs import BASE
from tests.support.checkpoints.spoil import edit_config
from tests.support.commands import trtnemo_here
from trtnemo.checkpoint import Checkpoint, parse_config
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap, read_quantization
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.errors import CheckpointError, ModelConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 64) | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.fuzz
@given(st.dictionaries(st.sampled_from(sorted(BASE)), JSON, min_size=1, max_size=3))
def test_any_config_is_read_or_refused(changes: Any) -> None:
    try:
        config = parse_config({**BASE, **changes})
    except ModelConfigError as error:
        assert str(error).startswith("config.json: ")
        assert len(str(error).splitlines()) == 1
        return
    assert len(config.layer_kinds) == len(changes.get("hybrid_override_pattern") or BASE["hybrid_override_pattern"])
    # shared_intermediate_size alone has no upper bound
    sizes = config.model_dump(exclude={"shared_intermediate_size"}).values()
    whole = [value for value in sizes if isinstance(value, int) and not isinstance(value, bool)]
    assert 0 <= min(whole) <= max(whole) <= 1 << 32
    assert config.shared_intermediate_size >= 0
    assert config.num_experts_per_tok <= config.n_routed_experts
    assert config.num_attention_heads % config.num_key_value_heads == 0


NAMES = st.lists(st.text("ab.*", min_size=1, max_size=3), max_size=3)
LAYERS = st.dictionaries(st.text("ab.", max_size=3), st.fixed_dictionaries({"quant_algo": st.just("FP8") | JSON}))
MAPS = st.fixed_dictionaries(
    {},
    optional={
        "quant_algo": st.sampled_from(["FP8", "NVFP4", "W4A16_NVFP4", "MIXED_PRECISION", None]) | JSON,
        "ignore": NAMES | JSON,
        "quantized_layers": LAYERS | JSON,
        "producer": JSON,
        "kv_cache_scheme": JSON,
    },
)


@pytest.mark.fuzz
@given(MAPS)
def test_any_map_is_read_or_refused(block: Any) -> None:
    try:
        found = read_quantization(Path("nowhere"), {"quantization_config": block})
    except CheckpointError as error:
        assert str(error).startswith("nowhere/config.json: quantization_config")
        assert len(str(error).splitlines()) == 1
        return
    if block.get("quant_algo") is None and not block.get("quantized_layers"):
        assert (found.layers, found.uniform) == ({}, WeightFormat.PLAIN)
    for name in found.excluded - {""}:
        assert found.format_of(name) is WeightFormat.PLAIN


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
def test_absurd_sizes_are_refused(changes: Any) -> None:
    with pytest.raises(ModelConfigError):
        parse_config({**BASE, **changes})


def test_a_network_with_more_tensors_than_anyone_stores_is_refused() -> None:
    """Four billion experts would be listed one by one."""
    with pytest.raises(ModelConfigError, match="experts"):
        list(expected_tensors(parse_config({**BASE, "n_routed_experts": 2**31}), QuantizationMap()))


def test_bare_infinity_is_accepted(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    edit_config(directory, time_step_limit=[0.0, float("inf")])
    assert "Infinity" in (directory / "config.json").read_text()
    assert Checkpoint.open(directory).config.time_step_limit[1] == float("inf")


@pytest.mark.parametrize("name", ["config.json", "hf_quant_config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["", "[]", "nul", '{"a": ' * 50_000, '{"model": {"vocab": 3}, "model": {}}', "\ud800"])
def test_any_spoiled_json_file_is_one_line_and_an_exit_code(copy_checkpoint: Any, name: str, text: Any) -> None:
    directory = copy_checkpoint("mixed")
    (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    result = trtnemo_here("check", directory)
    assert (result.returncode, result.stderr.count("\n")) == (4, 1), result.stderr


def test_a_tokenizer_of_odd_shape_is_no_traceback(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    for content in ({"model": 3}, {"model": {"vocab": 3}}, {"added_tokens": 3}, {"model": {"vocab": {"a": "b"}}}):
        (directory / "tokenizer.json").write_text(json.dumps(content))
        result = trtnemo_here("check", directory)
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("target", ["/dev/zero", "fifo"])
def test_a_config_that_is_no_file_is_refused_unread(copy_checkpoint: Any, target: str) -> None:
    directory = copy_checkpoint()
    (directory / "config.json").unlink()
    if target == "fifo":
        os.mkfifo(directory / "config.json")
    else:
        (directory / "config.json").symlink_to(target)
    with pytest.raises(CheckpointError, match="not a regular file"):
        Checkpoint.survey(directory)


def test_foreign_text_neither_forges_a_verdict_nor_breaks_the_output(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    config = json.loads((directory / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "x\npassed: 0 errors\udc80"}
    (directory / "config.json").write_text(json.dumps(config))
    for flags in ((), ("--json",)):
        # a process of its own: what stdout takes is part of it
        command = [sys.executable, "-m", "trtnemo", "check", directory, *flags]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        assert "\npassed: 0 errors\\" not in result.stdout

"""`trtnemo diff` of checkpoints: a table for people, JSON that stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.commands import trtnemo_here


def test_two_precisions_are_compared_kind_by_kind(make_checkpoint: Any, made_by_modelopt: Path) -> None:
    result = trtnemo_here("diff", str(make_checkpoint("bf16")), str(made_by_modelopt / "quantized"))
    assert (result.returncode, result.stderr) == (1, "")
    assert "34 of 136 tensors differ" in result.stdout
    assert "BF16 -> nvfp4  backbone.layers." in result.stdout
    assert "36 only in the second: backbone.layers.0.mixer.in_proj.input_scale" in result.stdout


def test_the_same_is_said_and_is_exit_code_0() -> None:
    result = trtnemo_here("diff", "tiny", "tiny")
    assert (result.returncode, result.stdout) == (0, "the same: 309 tensors\n")


def test_json_has_stable_keys_and_no_number_that_json_lacks(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    content["lm_head.weight"][0, 0] = float("inf")
    save(directory, content)
    result = trtnemo_here("diff", str(make_checkpoint("bf16")), str(directory), "--json")
    assert result.returncode == 1
    told = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
    assert told.keys() == {
        "same",
        "compared",
        "only_first",
        "only_second",
        "other_shapes",
        "unread",
        "kinds",
        "tensors",
    }
    assert told["kinds"] == [{"kind": "lm_head", "tensors": 1, "snr_db": None, "largest": None}]
    (tensor,) = told["tensors"]
    assert tensor.keys() == {"name", "formats", "elements", "snr_db", "noise", "largest", "codes_moved"}
    assert tensor["codes_moved"] == 1


@pytest.mark.parametrize(
    ("second", "code", "message"),
    [("no/such/place", 4, "there is no such directory"), ("README.md", 4, "is a file, not a checkpoint directory")],
)
def test_what_is_no_checkpoint_is_told(second: str, code: int, message: str) -> None:
    result = trtnemo_here("diff", "tiny", second)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr

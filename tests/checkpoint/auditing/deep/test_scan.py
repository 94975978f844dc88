"""Every way of spoiling values is found by its rule, and named; good checkpoints show nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.checkpoints.spoiled_values import KINDS
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.auditing.deep.scan import scan
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
from trtnemo.checkpoint.rules import RULES
from trtnemo.errors import CheckpointError


def findings(directory: Path) -> Any:
    return scan(Checkpoint.open(directory)).findings


@pytest.mark.parametrize("name", KINDS)
def test_spoiled_values_are_found_by_their_rule_and_named(copy_checkpoint: Any, name: str) -> None:
    rule, precision, tensor, spoil = KINDS[name]
    directory = copy_checkpoint(precision)
    content = load(directory)
    spoil(content)
    save(directory, content)
    found = findings(directory)
    assert tensor in {finding.subject for finding in found if finding.rule == rule}, found
    assert {finding.rule for finding in audit(Checkpoint.open(directory)).findings} == set(), "seen without --deep"
    others = {finding.subject.rpartition(".")[0] for finding in found} - {tensor.rpartition(".")[0]}
    twice = "twice" in name  # a layer of two weights
    assert len(others) <= (1 if twice else 0), others


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
def test_a_random_checkpoint_shows_nothing(make_checkpoint: Any, precision: str) -> None:
    assert findings(make_checkpoint(precision)) == []


@pytest.mark.parametrize("name", ["quantized", "every-kind"])
def test_what_modelopt_wrote_shows_nothing(made_by_modelopt: Path, name: str) -> None:
    assert findings(made_by_modelopt / name) == []


def test_a_trained_checkpoint_shows_nothing_and_all_of_it_is_read() -> None:
    checkpoint, heard = Checkpoint.open("tiny"), []
    found = scan(checkpoint, lambda what, done, total: heard.append((done, total)))
    assert (found.findings, found.unjudged) == ([], ())
    assert found.bytes == checkpoint.total_bytes == max(heard)[0] == max(heard)[1]
    assert found.measures.keys() == checkpoint.tensors.keys()


def test_what_we_quantize_shows_nothing(make_checkpoint: Any, tmp_path: Path) -> None:
    source = Checkpoint.open(make_checkpoint("bf16"))
    target, _ = weight_only(map_of_patterns(source.config, PRESETS["nvfp4"], every=False))
    quantize_stream(source, tmp_path / "new", target)
    assert findings(tmp_path / "new") == []


def test_every_rule_on_values_finds_something() -> None:
    of_values = {name for name, rule in RULES.items() if "(--deep)" in rule.finds}
    # of a file, not of values: test_digests.py
    assert {rule for rule, _, _, _ in KINDS.values()} == of_values - {"file-changed"}
    assert len(KINDS) >= 60


def test_a_file_that_changes_meanwhile_is_refused(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    with pytest.raises(CheckpointError, match="changed while it was read"):
        scan(Checkpoint.open(directory), lambda what, done, total: (directory / "model.safetensors").touch())


def test_tensors_of_another_layout_are_told_as_unjudged_and_numbers_that_are_none_are_found(
    copy_checkpoint: Any,
) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    name = "model.layers.0.mixer.in_proj.weight"
    content[name] = content.pop("backbone.layers.0.mixer.in_proj.weight")
    content[name][3, 4] = float("nan")
    save(directory, content)
    found = scan(Checkpoint.survey(directory))
    assert found.unjudged == (name,)
    assert [(finding.rule, finding.subject) for finding in found.findings] == [("value-not-finite", name)]
    assert "the first in row 3" in found.findings[0].message

"""Every kind of damage is found by its rule, and named; a good checkpoint shows none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.checkpoints.damaged_files import KINDS
from trtnemo import errors
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.rules import RULES
from trtnemo.errors import CheckpointError

# the sentence that tells which of the many, by damage
NAMED = {
    "expert_lacks_weight_scale_2": "backbone.layers.1.mixer.experts.3.up_proj.weight_scale_2",
    "one_layer_said_to_be_fp8": "backbone.layers.1.mixer.experts.3.up_proj.weight",
    "a_shard_is_cut_off": "model-00002-of-00002.safetensors",
    "two_tensors_in_one_place": "model.safetensors: tensor backbone.layers.1.norm.weight",
}


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_found_by_its_rule(copy_checkpoint: Any, name: str) -> None:
    rule, precision, damage = KINDS[name]
    directory = copy_checkpoint(precision)
    damage(directory)
    if rule not in RULES:
        with pytest.raises(getattr(errors, rule)) as raised:
            Checkpoint.survey(directory)
        assert type(raised.value) is getattr(errors, rule)
        return
    report = audit(Checkpoint.survey(directory))
    hits = [finding for finding in report.findings if finding.rule == rule]
    assert hits, report.findings
    assert report.passed == (RULES[rule].severity != "error"), report.errors
    if name in NAMED:
        assert hits[0].subject == NAMED[name]


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
def test_a_good_checkpoint_has_no_findings(make_checkpoint: Any, precision: str) -> None:
    assert audit(Checkpoint.survey(make_checkpoint(precision))).findings == []


def test_there_are_at_least_forty_kinds() -> None:
    assert len(KINDS) >= 40


def test_every_rule_finds_some_damage() -> None:
    """Those left out are met in test_repair.py, test_embedding.py, test_groups.py, test_oracle.py and deep/."""
    of_headers = {name for name, rule in RULES.items() if "(--deep)" not in rule.finds}
    assert of_headers - {rule for rule, _, _ in KINDS.values()} == {
        "experts-fused",
        "sensitive-quantized",
        "embedding-quantized",
        "groups-mismatch",
        "codec-disagrees",
    }


def test_inferred_rules_never_fail_an_audit() -> None:
    assert not [rule.name for rule in RULES.values() if rule.inferred and rule.severity == "error"]


def test_opening_refuses_what_the_audit_calls_an_error(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    KINDS["two_tensors_in_one_place"][2](directory)
    with pytest.raises(CheckpointError, match="overlap"):
        Checkpoint.open(directory)

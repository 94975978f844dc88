"""Many findings of one kind are told once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trtnemo.checkpoint.auditing.grouping import group_findings
from trtnemo.findings import Finding


def missing(name: Any) -> Any:
    return Finding("error", "tensor-missing", name, "is missing")


def told(*names: Any) -> Any:
    return [(group.subject, group.message, group.count) for group in group_findings(map(missing, names))]


def test_one_expert_is_told_by_its_number() -> None:
    name = "backbone.layers.23.mixer.experts.17.up_proj.weight_scale_2"
    assert told(name) == [("expert 17 of layer 23", "lacks up_proj.weight_scale_2", 1)]


def test_experts_of_a_layer_come_together() -> None:
    names = [f"backbone.layers.3.mixer.experts.{number}.up_proj.input_scale" for number in range(512)]
    assert told(*names) == [("512 experts of layer 3", "lack up_proj.input_scale", 512)]


def test_layers_come_together_where_the_same_is_wrong_with_each() -> None:
    names = [
        f"{place}.mixer.experts.{n}.down_proj.weight" for place in ("backbone.layers.1", "mtp.layers.1") for n in (0, 1)
    ]
    assert told(*names) == [("2 experts of each of 2 layers (1, mtp 1)", "lack down_proj.weight", 4)]
    assert told("backbone.layers.0.norm.weight", "backbone.layers.2.norm.weight") == [
        ("2 layers (0, 2)", "lack norm.weight", 2)
    ]


def test_what_stands_alone_keeps_its_name() -> None:
    assert told("lm_head.weight", "backbone.norm_f.weight") == [
        ("lm_head.weight", "is missing", 1),
        ("backbone.norm_f.weight", "is missing", 1),
    ]


def test_single_experts_of_different_numbers_stay_apart() -> None:
    names = [f"backbone.layers.{layer}.mixer.experts.{number}.x.weight" for layer, number in ((1, 3), (3, 3), (5, 9))]
    assert told(*names) == [
        ("expert 3 of each of 2 layers (1, 3)", "lacks x.weight", 2),
        ("expert 9 of layer 5", "lacks x.weight", 1),
    ]


def test_different_rules_and_messages_stay_apart() -> None:
    name = "backbone.layers.1.mixer.experts.{}.up_proj.weight"
    findings = [missing(name.format(0)), Finding("error", "tensor-shape", name.format(1), "is 2x2, expected 4x4")]
    assert [group.rule for group in group_findings(findings)] == ["tensor-missing", "tensor-shape"]


@given(st.lists(st.tuples(st.sampled_from(["backbone", "mtp"]), st.integers(0, 3), st.none() | st.integers(0, 3))))
def test_no_finding_is_lost(places: Any) -> None:
    names = {
        f"{place}.layers.{layer}.mixer." + (f"experts.{expert}.x.weight" if expert is not None else "in_proj.weight")
        for place, layer, expert in places
    }
    assert sum(count for _, _, count in told(*sorted(names))) == len(names)

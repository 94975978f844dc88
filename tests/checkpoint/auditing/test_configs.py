"""The json files' own findings, each spelling alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trtnemo.checkpoint.auditing.configs import config_findings, has_written_infinity, spelled_by_transformers
from trtnemo.checkpoint.family.weight_format import WeightFormat


def findings(raw: Any = None, expected: Any = None, quantizations: Any = ()) -> Any:
    checkpoint: Any = SimpleNamespace(raw_config=raw or {}, quantizations=list(quantizations))
    return [(item.rule, item.subject) for item in config_findings(checkpoint, expected or {})]


def stored(name: Any, form: Any) -> Any:
    return findings(expected={name: SimpleNamespace(weight_format=form)})


SENSITIVE = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1_latent_proj", "fc2_latent_proj"]


@pytest.mark.parametrize("part", SENSITIVE)
@pytest.mark.parametrize("form", [WeightFormat.NVFP4, WeightFormat.NVFP4_WEIGHT_ONLY])
def test_every_layer_that_the_release_keeps_wide_is_named_in_nvfp4(part: Any, form: Any) -> None:
    name = f"backbone.layers.17.mixer.{part}.weight"
    assert stored(name, form) == [("sensitive-quantized", name)]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((f"backbone.layers.3.mixer.{part}.weight", form) for part in SENSITIVE for form in ("FP8", "PLAIN")),
        ("backbone.layers.3.mixer.in_proj.weight", "NVFP4"),
        ("backbone.layers.3.mixer.experts.0.up_proj.weight", "NVFP4"),
        ("backbone.layers.3.mixer.fc3_latent_proj.weight", "NVFP4"),
        ("mtp.layers.0.mixer.o_proj.weight", "NVFP4"),
        ("backbone.layers.3.mixer.o_proj.weight_scale", "NVFP4"),
        ("backbone.layers.3.mixer.o_proj.weight", None),
    ],
)
def test_no_other_layer_or_type_is_named(name: Any, form: Any) -> None:
    assert stored(name, form and WeightFormat[form]) == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"layers_block_type": ["linear_attention", "x"]}, True),
        ({"layers_block_type": ["full_attention"]}, True),
        ({"layers_block_type": ["mamba", "attention", "moe"]}, False),
        ({"layers_block_type": ["full_attention"], "hybrid_override_pattern": "M*"}, False),
        ({"layers_block_type": ["full_attention"], "hybrid_override_pattern": ""}, True),
        ({"layers_block_type": "full_attention"}, False),
        ({}, False),
    ],
)
def test_layers_as_transformers_5_spells_them_are_told(raw: dict[str, Any], expected: bool) -> None:
    assert spelled_by_transformers(raw) is expected
    assert (("layers-spelling", "config.json") in findings(raw)) is expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ([0.0, {"__float__": "Infinity"}], True),
        ([{"__float__": "Infinity"}], True),
        ([0.0, float("inf")], False),
        ([], False),
        (None, False),
        ({"__float__": "Infinity"}, False),
    ],
)
def test_an_infinity_that_is_written_as_an_object_is_told(limit: Any, expected: bool) -> None:
    assert has_written_infinity(limit) is expected
    assert (("time-step-limit", "config.json") in findings({"time_step_limit": limit})) is expected


class Map(SimpleNamespace):
    """What one file says of the layers."""

    def __init__(
        self, source: Any = "hf_quant_config.json", damaged: Any = False, fused: Any = False, **formats: Any
    ) -> None:
        layers = {name.replace("__", "."): form for name, form in formats.items()}
        fields = {"damaged_names": damaged, "fused_experts": fused, "layers": layers}
        super().__init__(source=source, uniform=None, excluded=(), excluded_patterns=(), **fields)

    def format_of(self, module: Any) -> Any:
        return self.layers.get(module, WeightFormat.PLAIN)


EXPECTED = {
    name: SimpleNamespace(weight_format=form)
    for name, form in (("a.b.weight", WeightFormat.FP8), ("a.c.weight", WeightFormat.PLAIN), ("norm.weight", None))
}


def test_a_map_is_read_without_its_damage_which_is_told() -> None:
    assert findings(quantizations=[Map()]) == []
    assert findings(quantizations=[Map(damaged=True)]) == [("names-damaged", "hf_quant_config.json")]
    assert findings(quantizations=[Map("dir/config.json: quantization_config", fused=True)]) == [
        ("experts-fused", "config.json: quantization_config")
    ]


def test_names_that_are_no_layer_nor_a_part_that_holds_some_are_told_in_order() -> None:
    strange = Map(
        z=WeightFormat.FP8, a=WeightFormat.FP8, a__b=WeightFormat.FP8, norm=WeightFormat.FP8, a__d=WeightFormat.FP8
    )
    assert findings(expected=EXPECTED, quantizations=[strange]) == [
        ("map-names-nothing", name) for name in ("a.d", "norm", "z")
    ]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (WeightFormat.FP8, WeightFormat.FP8, []),
        (WeightFormat.FP8, WeightFormat.NVFP4, ["a.b.weight"]),
        (WeightFormat.NVFP4_WEIGHT_ONLY, WeightFormat.NVFP4, []),
        (WeightFormat.PLAIN, WeightFormat.FP8, ["a.b.weight"]),
    ],
)
def test_two_maps_that_see_a_layer_differently_are_told(one: Any, other: Any, told: list[Any]) -> None:
    maps = [Map(a__b=one), Map("config.json", a__b=other)]
    assert findings(expected=EXPECTED, quantizations=maps) == [("maps-disagree", name) for name in told]

"""Formats by pattern and by release."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.family.releases import find_release
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
from trtnemo.checkpoint.rewrite.maps.release import RELEASED, map_of_release
from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
from trtnemo.errors import UsageError


def config_of(name: str) -> Any:
    release = find_release(name)
    assert release is not None
    return release.config


SUPER = config_of("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16")
NANO = config_of("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")


def test_later_patterns_win_and_the_mtp_head_is_named_by_its_own_alone() -> None:
    found = map_of_patterns(SUPER, PRESETS["super"], every=True)
    assert found.format_of("backbone.layers.1.mixer.experts.511.down_proj") is WeightFormat.NVFP4
    assert found.format_of("backbone.layers.0.mixer.in_proj") is WeightFormat.FP8
    assert not any(module.startswith("mtp.") for module in found.layers)
    head = map_of_patterns(SUPER, {"mtp.*.mixer.experts": "nvfp4"}, every=True)
    assert len(head.layers) == 2 * 512


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ({"*.mixer.experts": "int4"}, "'int4' is not a known format"),
        ({"*.mixer.experts": "nvfp4", "*.mixer.expert.": "fp8"}, r"no linear layer fits the pattern '\*\.mixer"),
        ({}, "no pattern fits"),
    ],
)
def test_a_pattern_that_means_nothing_is_told(formats: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        map_of_patterns(SUPER, formats, every=True)


def test_a_pattern_names_a_layer_and_no_other_that_begins_alike() -> None:
    found = map_of_patterns(SUPER, {"backbone.layers.1": "nvfp4", "*.experts.2": "fp8"}, every=True)
    assert {module.split(".")[2] for module, kind in found.layers.items() if kind is WeightFormat.NVFP4} == {"1"}
    assert {module.split(".")[5] for module, kind in found.layers.items() if kind is WeightFormat.FP8} == {"2"}


def test_a_preset_may_name_layers_that_a_network_has_not() -> None:
    dense = config_of("nvidia/Nemotron-H-56B-Base-8K")
    assert map_of_patterns(dense, PRESETS["nvfp4"], every=False).layers


def test_a_releases_map_is_its_own_file() -> None:
    found = map_of_release(SUPER, "super-nvfp4")
    assert found.format_of("backbone.layers.0.mixer.in_proj") is WeightFormat.FP8
    assert found.format_of("backbone.layers.33.mixer.in_proj") is WeightFormat.PLAIN
    assert found == map_of_release(SUPER, "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4")
    configs = {"super": SUPER, "nano": NANO, "ultra": config_of("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"),
               "lightning": config_of("nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4")}  # fmt: skip
    for name in RELEASED:
        assert map_of_release(configs[name.partition("-")[0]], name)


@pytest.mark.parametrize(
    ("config", "name", "message"),
    [
        (NANO, "super-nvfp4", "is for 88 layers of other kinds than these 52"),
        (SUPER.model_copy(update={"n_routed_experts": 256}), "super-nvfp4", "of other kinds"),
        (SUPER, "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", "no quantized release is called"),
        (SUPER, "super", "no quantized release is called"),
    ],
)
def test_a_map_for_another_network_is_refused(config: Any, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        map_of_release(config, name)


def test_without_inputs_fp8_layers_stay_plain_and_are_counted() -> None:
    full = map_of_release(SUPER, "super-nvfp4")
    found, plain = weight_only(full)
    assert plain == sum(kind is WeightFormat.FP8 for kind in full.layers.values())
    assert set(found.layers.values()) == {WeightFormat.NVFP4_WEIGHT_ONLY}
    assert not found.fp8_kv_cache

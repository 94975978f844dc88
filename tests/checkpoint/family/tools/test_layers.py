"""Which layers each tool's block means: by name, pattern, class, part of a name, or path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.quantizers.quantizers_utils import should_convert_module

from trtnemo.checkpoint.family.quantization import QuantizationMap, read_quantization
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.errors import CheckpointError

IN, OUT = "backbone.layers.0.mixer.in_proj", "backbone.layers.0.mixer.out_proj"
EXPERT, SHARED = "backbone.layers.1.mixer.experts.3.up_proj", "backbone.layers.1.mixer.shared_experts.up_proj"
TABLE, HEAD, DRAFT = "backbone.embeddings", "lm_head", "mtp.layers.0.mixer.q_proj"
ALL = (IN, OUT, EXPERT, SHARED, TABLE, HEAD, DRAFT)
NVFP4 = {"num_bits": 4, "type": "float", "group_size": 16}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}


def read(**block: Any) -> QuantizationMap:
    return read_quantization(Path("nowhere"), {"quantization_config": block})


def compressed(*groups: tuple[list[str], dict[str, Any]], ignore: list[str] | None = None) -> QuantizationMap:
    named = {f"group_{number}": {"targets": targets, "weights": form} for number, (targets, form) in enumerate(groups)}
    return read(quant_method="compressed-tensors", config_groups=named, ignore=ignore or [])


def quantized(found: QuantizationMap) -> set[str]:
    return {module for module in ALL if found.format_of(module) is not WeightFormat.PLAIN}


@pytest.mark.parametrize(
    ("targets", "ignore", "meant"),
    [
        (["Linear"], ["lm_head"], {IN, OUT, EXPERT, SHARED}),
        (["Linear"], ["re:.*experts.*", "lm_head"], {IN, OUT}),
        (["Linear"], ["lm_head", "model.layers.0.mixer.in_proj"], {OUT, EXPERT, SHARED}),  # transformers 5's name
        (["Linear"], ["lm_head", "backbone.layers.0.mixer"], {IN, OUT, EXPERT, SHARED}),  # a parent is no match
        (["Linear"], ["Linear"], None),
        (["Linear", "Embedding"], [], {IN, OUT, EXPERT, SHARED, TABLE, HEAD}),
        ([IN], [], {IN}),
        ([r"re:backbone\.layers\.\d+\.mixer\.(in|out)_proj$"], [], {IN, OUT}),
        (["re:.*mixer"], [], {IN, OUT, EXPERT, SHARED, DRAFT}),
        ([r"re:in_proj"], [], set()),  # patterns begin at the beginning
    ],
)
def test_compressed_tensors_means_targets_and_not_what_it_ignores(
    targets: list[str], ignore: list[str], meant: set[str] | None
) -> None:
    assert quantized(compressed((targets, NVFP4), ignore=ignore)) == (meant or set())


def test_a_name_goes_before_a_pattern_before_a_class() -> None:
    """As match_targets of compressed-tensors 0.20.1 orders the same targets."""
    found = compressed((["Linear"], FP8), (["re:.*experts.*", IN], NVFP4), (["re:.*up_proj$"], FP8))
    formats = [found.format_of(module) for module in (IN, OUT, EXPERT, "backbone.layers.2.mixer.up_proj")]
    assert formats == [
        WeightFormat.NVFP4_WEIGHT_ONLY,
        WeightFormat.FP8,
        WeightFormat.NVFP4_WEIGHT_ONLY,
        WeightFormat.FP8,
    ]


def test_the_later_of_two_groups_with_one_target_counts() -> None:
    assert compressed((["Linear"], FP8), (["Linear"], NVFP4)).format_of(IN) is WeightFormat.NVFP4_WEIGHT_ONLY


def test_classes_that_are_not_known_are_refused() -> None:
    with pytest.raises(CheckpointError, match="targets the class 'Conv1d'"):
        compressed((["Conv1d"], FP8))


SKIPPED = [
    ["lm_head"],
    ["backbone.layers.0.mixer.in_proj"],
    ["backbone.layers.1"],
    ["backbone.layers.1."],
    ["up_proj"],
    [r"backbone.layers.\d+.mixer.shared_experts"],
    ["backbone.layers.0.mixer.in"],
]


@pytest.mark.parametrize("skipped", SKIPPED, ids=json.dumps)
def test_fp8_by_blocks_skips_what_transformers_skips(skipped: list[str]) -> None:
    found = read(quant_method="fp8", weight_block_size=[128, 128], modules_to_not_convert=skipped)
    for module in (IN, OUT, EXPERT, SHARED):
        is_quantized = found.format_of(module) is WeightFormat.FP8
        assert is_quantized == should_convert_module(module, skipped), (module, skipped)
    assert not quantized(found) & {TABLE, HEAD}


def test_awq_leaves_what_has_a_part_of_the_name() -> None:
    assert quantized(read(quant_method="awq", bits=4)) == {IN, OUT, EXPERT, SHARED}
    assert quantized(read(quant_method="awq", bits=4, modules_to_not_convert=["experts"])) == {IN, OUT}


def test_gptqs_exceptions_are_tried_in_their_order() -> None:
    """As dynamic_get of GPTQModel: the first pattern that fits decides."""
    dynamic = {r"-:.*\.in_proj": {}, r"+:.*layers\.0\..*": {"bits": 8}, r".*shared.*": {"group_size": 32}}
    found = read(quant_method="gptq", bits=4, group_size=128, dynamic=dynamic)
    sizes = {module: found.layout_of(module).parts(256, 256, StorageType.BF16)[0].shape for module in (OUT, EXPERT)}
    assert quantized(found) == {OUT, EXPERT, SHARED}
    assert sizes == {OUT: (64, 256), EXPERT: (32, 256)}
    assert found.layout_of(SHARED).parts(256, 256, StorageType.BF16)[2].shape == (8, 256)


def test_gptq_means_the_head_or_some_layers_where_it_says_so() -> None:
    assert HEAD in quantized(read(quant_method="gptq", bits=4, lm_head=True))
    assert quantized(read(quant_method="gptq", bits=4, modules_in_block_to_quantize=[["in_proj"], ["out_proj"]])) == {
        IN,
        OUT,
    }


def test_mlx_means_all_but_the_draft_head_and_its_exceptions() -> None:
    assert quantized(read(group_size=64, bits=4)) == set(ALL) - {DRAFT}
    experts = {"backbone.layers.1.mixer.switch_mlp.fc1": {"bits": 8}, "lm_head": False}
    found = read(group_size=64, bits=4, **experts)
    assert HEAD not in quantized(found)
    assert found.layout_of(EXPERT).parts(64, 64, StorageType.BF16)[0].shape == (64, 16)
    assert found.layout_of(SHARED).parts(64, 64, StorageType.BF16)[0].shape == (64, 8)


def test_mlx_leaves_rows_that_no_group_divides() -> None:
    parts = read(group_size=128, bits=4).layout_of(EXPERT).parts(64, 1856, StorageType.BF16)
    assert [(part.suffix, part.storages) for part in parts] == [("weight", (StorageType.BF16,))]


@pytest.mark.parametrize(("bits", "columns"), [(2, 24), (3, 36), (4, 48), (5, 60), (6, 72), (8, 96)])
def test_mlx_packs_as_mx_quantize_does(bits: int, columns: int) -> None:
    """Shapes as mlx 0.32.4 gives them for a matrix of 96 x 384 in groups of 64."""
    parts = read(group_size=64, bits=bits).layout_of(IN).parts(96, 384, StorageType.BF16)
    assert [part.shape for part in parts] == [(96, columns), (96, 6), (96, 6)]


@pytest.mark.parametrize("scheme", ["dynamic", "static"])
@pytest.mark.parametrize("block", [None, [128, 128]])
def test_fp8_is_stored_as_transformers_makes_its_layer(block: Any, scheme: str) -> None:
    from transformers.integrations.finegrained_fp8 import FP8Linear

    layer = FP8Linear(320, 192, block_size=block, activation_scheme=scheme)
    found = read(quant_method="fp8", weight_block_size=block, activation_scheme=scheme)
    parts = found.layout_of(IN).parts(192, 320, StorageType.BF16)
    real = {name: (tuple(value.shape), value.element_size()) for name, value in layer.state_dict().items()}
    assert {part.suffix: (part.shape, part.storages[0].itemsize) for part in parts} == real

"""Quantization maps: both files, uniform and mixed, names as ModelOpt spoils them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trtnemo.checkpoint.family.quantization import SENTINEL, read_quantization
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.errors import CheckpointError

IN, OUT, EXPERT = (
    "backbone.layers.0.mixer.in_proj",
    "backbone.layers.0.mixer.out_proj",
    "backbone.layers.1.mixer.experts.3.up_proj",
)


def from_file(directory: Any, **quantization: Any) -> Any:
    content = {"producer": {"name": "modelopt", "version": "0.43"}, "quantization": quantization}
    (directory / "hf_quant_config.json").write_text(json.dumps(content))
    return read_quantization(directory, {})


def from_config(directory: Any, **block: Any) -> Any:
    return read_quantization(directory, {"quantization_config": {"quant_method": "modelopt", **block}})


def test_a_checkpoint_without_either_file_is_plain(tmp_path: Path) -> None:
    assert read_quantization(tmp_path, {}).format_of(IN) is WeightFormat.PLAIN


def test_a_uniform_algorithm_covers_what_is_not_excluded(tmp_path: Path) -> None:
    excluded = [OUT, "lm_head", "backbone.layers.2*"]
    for found in (
        from_config(tmp_path, quant_algo="NVFP4", ignore=excluded),
        from_file(tmp_path, quant_algo="NVFP4", exclude_modules=excluded, group_size=16),
    ):
        assert found.format_of(IN) is WeightFormat.NVFP4
        assert found.format_of("backbone.layers.3.mixer.in_proj") is WeightFormat.NVFP4
        for plain in (OUT, "lm_head", "backbone.layers.2.mixer.in_proj", "mtp.layers.0.mixer.q_proj"):
            assert found.format_of(plain) is WeightFormat.PLAIN


def test_an_excluded_parent_excludes_its_children(tmp_path: Path) -> None:
    found = from_file(tmp_path, quant_algo="FP8", exclude_modules=["backbone.layers.1.mixer.experts"])
    assert found.format_of(EXPERT) is WeightFormat.PLAIN
    assert found.format_of("backbone.layers.11.mixer.experts.3.up_proj") is WeightFormat.FP8


def test_a_mixed_map_names_each_module(tmp_path: Path) -> None:
    layers = {
        IN: {"quant_algo": "FP8"},
        EXPERT: {"quant_algo": "NVFP4", "group_size": 16},
        "lm_head": {"quant_algo": "W4A16_NVFP4"},
    }
    for found in (
        from_config(tmp_path, quant_algo="MIXED_PRECISION", quantized_layers=layers),
        from_file(tmp_path, quant_algo="MIXED_PRECISION", quantized_layers=layers),
    ):
        formats = [found.format_of(name) for name in (IN, EXPERT, "lm_head", OUT)]
        assert formats == [WeightFormat.FP8, WeightFormat.NVFP4, WeightFormat.NVFP4_WEIGHT_ONLY, WeightFormat.PLAIN]


def test_hf_quant_config_wins_over_config_json(tmp_path: Path) -> None:
    from_file(tmp_path, quant_algo="FP8")
    found = from_config(tmp_path, quant_algo="NVFP4")
    assert found.format_of(IN) is WeightFormat.FP8
    assert found.producer == "modelopt 0.43"


def test_names_that_modelopt_spoiled_are_read_without_the_damage(tmp_path: Path) -> None:
    excluded = from_file(tmp_path, quant_algo="NVFP4", exclude_modules=[OUT + SENTINEL])
    assert excluded.format_of(OUT) is WeightFormat.PLAIN
    assert excluded.damaged_names
    layers = {f"backbone.layers.1.mixer.experts{SENTINEL}": {"quant_algo": "NVFP4"}}
    mapped = from_file(tmp_path, quant_algo="MIXED_PRECISION", quantized_layers=layers)
    assert mapped.format_of(EXPERT) is WeightFormat.NVFP4
    assert mapped.damaged_names
    assert not from_file(tmp_path, quant_algo="NVFP4", exclude_modules=[OUT]).damaged_names


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"quant_algo": "INT3"}, "'INT3' is unknown"),
        ({"quant_algo": "MIXED_PRECISION"}, "without a 'quantized_layers' map"),
        ({"quant_algo": "MIXED_PRECISION", "quantized_layers": {IN: 3}}, "not an object"),
        ({"quant_algo": "MIXED_PRECISION", "quantized_layers": {IN: {"quant_algo": "X"}}}, "'X' is unknown"),
        ({"quant_algo": "NVFP4", "group_size": 32}, "group_size 32"),
        ({"quant_algo": "NVFP4", "exclude_modules": [3]}, "not a list of names"),
    ],
)
def test_a_map_that_cannot_be_read_is_refused(tmp_path: Path, quantization: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_file(tmp_path, **quantization)


GROUPS: dict[str, Any] = {
    "group_0": {"weights": {"num_bits": 8, "type": "float"}, "targets": [IN]},
    "group_1": {
        "weights": {"num_bits": 4, "type": "float", "group_size": 16},
        "input_activations": {"num_bits": 4, "type": "float", "group_size": 16},
        "targets": [EXPERT],
    },
    "group_2": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}, "targets": ["lm_head"]},
}


def test_groups_name_the_modules_where_there_is_no_map(tmp_path: Path) -> None:
    for algorithm in ("MIXED_PRECISION", None):
        found = from_config(tmp_path, quant_algo=algorithm, config_groups=GROUPS)
        assert [found.format_of(name) for name in (IN, EXPERT, "lm_head", OUT)] == [
            WeightFormat.FP8,
            WeightFormat.NVFP4,
            WeightFormat.NVFP4_WEIGHT_ONLY,
            WeightFormat.PLAIN,
        ]


def test_a_group_of_all_linear_layers_is_a_uniform_algorithm(tmp_path: Path) -> None:
    group = {**GROUPS["group_1"], "targets": ["Linear"]}
    found = from_config(tmp_path, config_groups={"group_0": group}, ignore=["lm_head"])
    assert [found.format_of(name) for name in (IN, EXPERT, "lm_head")] == [WeightFormat.NVFP4] * 2 + [
        WeightFormat.PLAIN
    ]


@pytest.mark.parametrize("damage", [{"groups": 3}, {"group_0": 3}, []])
def test_groups_that_are_none_are_refused_or_empty(tmp_path: Path, damage: Any) -> None:
    if damage:
        with pytest.raises(CheckpointError, match="config_groups"):
            from_config(tmp_path, config_groups=damage)
    else:
        assert from_config(tmp_path, config_groups=damage).format_of(IN) is WeightFormat.PLAIN


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"weights": {"num_bits": 3, "type": "float"}, "targets": [IN]}, "quant_algo None is unknown"),
        ({"weights": {"num_bits": 4, "type": "float", "group_size": 32}, "targets": [IN]}, "group_size 32"),
        ({"weights": {"num_bits": 8, "type": "int"}, "targets": [IN]}, "no floating-point 'weights'"),
        ({"targets": [IN]}, "no floating-point 'weights'"),
        ({"weights": {"num_bits": 8, "type": "float"}}, "has no 'targets'"),
    ],
)
def test_a_group_that_cannot_be_read_is_refused(tmp_path: Path, group: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_config(tmp_path, quant_algo="MIXED_PRECISION", config_groups={"group_0": group})

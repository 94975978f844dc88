"""ModelOpt's own export: each quirk is named, and the repaired copy has none that json files can mend."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import oracle
from tests.support.checkpoints.damage import edit_map, shard, write_index
from tests.support.checkpoints.damaged_files import KINDS
from tests.support.checkpoints.spoil import edit_config
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.rewrite.repair import repair_checkpoint
from trtnemo.errors import CheckpointError


@pytest.fixture
def export(made_by_modelopt: Any) -> Any:
    """Return a function that gives ModelOpt's export, plain or mixed."""
    return lambda *flags: made_by_modelopt / ("mixed" if flags else "plain")


def rules(report: Any) -> Any:
    return {finding.rule for finding in report.findings}


def test_every_quirk_of_the_default_export_is_named(export: Any) -> None:
    report = audit(Checkpoint.survey(export()))
    assert rules(report) == {"layers-spelling", "time-step-limit", "names-damaged", "sensitive-quantized",
                             "tokenizer-missing", "mtp-missing"}  # fmt: skip
    assert [finding.rule for finding in report.errors] == ["mtp-missing"]
    assert report.producer == "modelopt 0.47.0"


def test_a_mixed_export_names_its_experts_as_one(export: Any) -> None:
    assert "experts-fused" in rules(audit(Checkpoint.survey(export("--mixed"))))


@pytest.mark.parametrize("flags", [(), ("--mixed",)])
def test_the_repaired_copy_has_head_tokenizer_and_clean_names(
    export: Any, make_checkpoint: Any, tmp_path: Path, flags: Any
) -> None:
    source = Checkpoint.open(make_checkpoint("bf16"))
    repair = repair_checkpoint(Checkpoint.survey(export(*flags)), tmp_path / "out", source)
    assert rules(repair.after) <= {"sensitive-quantized"}
    assert set(repair.mended) == rules(repair.before) - {"sensitive-quantized"}
    for name in ("config.json", "hf_quant_config.json"):
        assert "sentinel" not in (tmp_path / "out" / name).read_text()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["hybrid_override_pattern"], config["num_hidden_layers"]) == ("MEM*EME", 7)
    assert config["time_step_limit"] == [0.0, float("inf")]
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (source.directory / "tokenizer.json").read_bytes()
    repaired = Checkpoint.open(tmp_path / "out")
    for name in source.tensors:
        if name.startswith("mtp."):
            assert np.array_equal(repaired.read(name).data, source.read(name).data)


def test_a_literal_reader_finds_every_quantized_module_in_the_repaired_map(
    export: Any, make_checkpoint: Any, tmp_path: Path
) -> None:
    repair_checkpoint(Checkpoint.survey(export("--mixed")), tmp_path / "out", Checkpoint.open(make_checkpoint("bf16")))
    layers = json.loads((tmp_path / "out" / "hf_quant_config.json").read_text())["quantization"]["quantized_layers"]
    stored = {
        name.removesuffix(".weight")
        for name, info in Checkpoint.open(tmp_path / "out").tensors.items()
        if name.endswith(".weight") and info.storage.value in ("U8", "F8_E4M3")
    }
    assert layers.keys() == stored
    block = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert block["quantized_layers"] == layers


def test_modelopt_and_transformers_read_the_repaired_copy(export: Any, make_checkpoint: Any, tmp_path: Path) -> None:
    """The oracle decodes with ModelOpt and torch, none of our code, by the map that the repair wrote."""
    repair_checkpoint(Checkpoint.survey(export("--mixed")), tmp_path / "out", Checkpoint.open(make_checkpoint("bf16")))
    decoded = oracle.decoded_tensors(tmp_path / "out")
    original = Checkpoint.open(make_checkpoint("bf16"))
    assert {name for name in decoded if name.endswith("proj.weight")} == {
        name for name in original.tensors if name.endswith("proj.weight")
    }


def test_weights_are_linked_and_not_copied(export: Any, tmp_path: Path) -> None:
    repair_checkpoint(Checkpoint.survey(export()), tmp_path / "out")
    assert os.path.samefile(tmp_path / "out" / "model.safetensors", export() / "model.safetensors")


def test_without_a_source_the_promise_of_a_head_is_taken_back(export: Any, tmp_path: Path) -> None:
    repair = repair_checkpoint(Checkpoint.survey(export()), tmp_path / "out")
    assert repair.after.passed
    assert not Checkpoint.open(tmp_path / "out").config.has_mtp


def test_another_networks_head_is_refused(export: Any, copy_checkpoint: Any, tmp_path: Path) -> None:
    other = copy_checkpoint("bf16")
    edit_config(other, rms_norm_eps=1e-3, layer_norm_epsilon=1e-3, norm_eps=1e-3)
    with pytest.raises(CheckpointError, match="another network"):
        repair_checkpoint(Checkpoint.survey(export()), tmp_path / "out", Checkpoint.survey(other))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["mixed_map_read_as_plain_nvfp4", "no_map_at_all", "two_maps_that_disagree", "index_names_a_ghost",
     "index_names_another_shard", "index_forgets_a_tensor", "index_forgets_a_shard", "index_with_another_size",
     "a_shard_too_many"],
)  # fmt: skip
def test_damage_of_json_files_is_mended(copy_checkpoint: Any, tmp_path: Path, name: str) -> None:
    rule, precision, damage = KINDS[name]
    directory = copy_checkpoint(precision)
    damage(directory)
    repair = repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out")
    assert rule in repair.mended
    assert repair.after.findings == []


def test_a_copy_never_replaces_what_it_is_made_of(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    with pytest.raises(CheckpointError, match="is or holds what the copy is made of"):
        repair_checkpoint(Checkpoint.survey(directory), directory, force=True)
    outer = directory.parent
    (outer / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is or holds"):
        repair_checkpoint(Checkpoint.survey(directory), outer, force=True)
    assert audit(Checkpoint.open(directory)).findings == []


def test_a_shard_of_the_heads_name_is_never_written_through_its_link(
    export: Any, make_checkpoint: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "sharded"
    shutil.copytree(export(), directory)
    weight_map = shard(directory)
    (directory / "model-00002-of-00002.safetensors").rename(directory / "model-mtp.safetensors")
    renamed = {name: file.replace("model-00002-of-00002", "model-mtp") for name, file in weight_map.items()}
    write_index(directory, renamed)
    before = (directory / "model-mtp.safetensors").read_bytes()
    source = Checkpoint.open(make_checkpoint("bf16"))
    repair = repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out", source)
    assert repair.after.passed
    assert (directory / "model-mtp.safetensors").read_bytes() == before


def test_all_that_loaders_need_comes_along(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint()
    for name in ("modeling_nemotron_h.py", "tokenizer.model", "merges.txt"):
        (directory / name).write_text(name)
    repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out")
    assert (tmp_path / "out" / "modeling_nemotron_h.py").read_text() == "modeling_nemotron_h.py"
    assert {path.name for path in directory.iterdir()} == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_map_made_from_nothing_is_written_for_both_kinds_of_readers(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint("mixed")
    KINDS["no_map_at_all"][2](directory)
    repair = repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out")
    assert repair.after.findings == []
    content = json.loads((tmp_path / "out" / "hf_quant_config.json").read_text())
    block = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert content["producer"]["name"] == "modelopt"
    assert content["quantization"]["kv_cache_quant_algo"] == "FP8"
    assert block["quantized_layers"] == content["quantization"]["quantized_layers"]


def test_a_map_of_plain_weights_is_taken_away(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint("bf16")
    edit_config(directory, quantization_config={"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": []})
    repair = repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out")
    assert repair.after.findings == []
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_uniform_map_excludes_the_head_that_was_carried_over(
    export: Any, make_checkpoint: Any, tmp_path: Path
) -> None:
    repair_checkpoint(Checkpoint.survey(export()), tmp_path / "out", Checkpoint.open(make_checkpoint("bf16")))
    block = json.loads((tmp_path / "out" / "hf_quant_config.json").read_text())["quantization"]
    assert "mtp*" in block["exclude_modules"]
    assert "mtp*" in json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]["ignore"]


def test_weight_only_layers_stay_so_in_a_map_written_again(copy_checkpoint: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint("mixed")
    module = "backbone.layers.1.mixer.experts.3.up_proj"
    edit_map(directory, lambda q: q["quantized_layers"][module].update(quant_algo="W4A16_NVFP4"))
    KINDS["two_maps_that_disagree"][2](directory)
    repair_checkpoint(Checkpoint.survey(directory), tmp_path / "out")
    layers = json.loads((tmp_path / "out" / "hf_quant_config.json").read_text())["quantization"]["quantized_layers"]
    assert layers[module] == {"quant_algo": "W4A16_NVFP4", "group_size": 16}

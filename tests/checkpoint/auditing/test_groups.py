"""compressed-tensors NVFP4 and FP8, by their own tensor names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.checkpoints.compressed import compress_fp8, compress_nvfp4
from tests.support.checkpoints.spoil import edit_config, edit_tensors
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.rewrite.repair import repair_checkpoint
from trtnemo.errors import CheckpointError
from trtnemo.network import NemotronH

EXPERT = "backbone.layers.1.mixer.experts.3.up_proj"
Spoil = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture
def nvfp4(copy_checkpoint: Any) -> Path:
    directory: Path = copy_checkpoint("nvfp4")
    compress_nvfp4(directory)
    return directory


def findings(directory: Path) -> set[tuple[str, str, str]]:
    return {(item.severity, item.rule, item.subject) for item in audit(Checkpoint.survey(directory)).findings}


def test_a_sound_nvfp4_checkpoint_passes_and_says_what_it_is(nvfp4: Path) -> None:
    report = audit(Checkpoint.survey(nvfp4))
    assert report.findings == []
    assert report.producer == "compressed-tensors NVFP4"
    assert report.formats["nvfp4"] > report.formats["plain"] > 0


@pytest.mark.parametrize("strategy", ["tensor", "channel", "block"])
def test_a_sound_fp8_checkpoint_passes(copy_checkpoint: Any, strategy: str) -> None:
    directory = copy_checkpoint("bf16")
    compress_fp8(directory, strategy)
    report = audit(Checkpoint.survey(directory))
    assert report.findings == []
    assert report.formats["fp8"] > 0


def test_single_scales_may_be_scalars(nvfp4: Path) -> None:
    name = f"{EXPERT}.weight_global_scale"
    edit_tensors(nvfp4, lambda t: t.update({name: t[name].reshape(())}))
    assert findings(nvfp4) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop(f"{EXPERT}.weight_packed"), ("error", "tensor-missing", f"{EXPERT}.weight_packed")),
        (
            lambda t: t.pop(f"{EXPERT}.weight_global_scale"),
            ("error", "tensor-missing", f"{EXPERT}.weight_global_scale"),
        ),
        (
            lambda t: t[f"{EXPERT}.weight_global_scale"].fill_(float("inf")),
            ("error", "scale-not-finite", f"{EXPERT}.weight_global_scale"),
        ),
        (
            lambda t: t[f"{EXPERT}.input_global_scale"].fill_(0),
            ("error", "scale-not-positive", f"{EXPERT}.input_global_scale"),
        ),
        (
            lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0),
            ("warning", "block-scale-zero", f"{EXPERT}.weight_scale"),
        ),
        (
            lambda t: t.update({f"{EXPERT}.weight_packed": t[f"{EXPERT}.weight_packed"][:8]}),
            ("error", "tensor-shape", f"{EXPERT}.weight_packed"),
        ),
        (lambda t: t.update(stray=torch.zeros(3)), ("error", "tensor-unexpected", "stray")),
    ],
)
def test_a_spoiled_tensor_is_found_once(nvfp4: Path, change: Spoil, expected: Any) -> None:
    edit_tensors(nvfp4, change)
    assert findings(nvfp4) == {expected}


def test_a_layer_that_the_groups_name_wrongly_is_one_finding(nvfp4: Path) -> None:
    config = json.loads((nvfp4 / "config.json").read_text())["quantization_config"]
    edit_config(nvfp4, quantization_config={**config, "ignore": [*config["ignore"], EXPERT]})
    assert findings(nvfp4) == {("error", "groups-mismatch", f"{EXPERT}.weight")}


def test_a_wide_layer_that_the_groups_mean_is_one_finding(nvfp4: Path) -> None:
    config = json.loads((nvfp4 / "config.json").read_text())["quantization_config"]
    ignore = [name for name in config["ignore"] if name != "lm_head"]
    edit_config(nvfp4, quantization_config={**config, "ignore": ignore})
    assert findings(nvfp4) == {("error", "groups-mismatch", "lm_head.weight_packed")}


def test_tensors_in_modelopts_form_are_named(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    weights = (directory / "model.safetensors").read_bytes()
    compress_nvfp4(directory)
    (directory / "model.safetensors").write_bytes(weights)
    found = audit(Checkpoint.survey(directory)).findings
    assert {item.rule for item in found} == {"groups-mismatch"}
    assert {item.message.partition(",")[0] for item in found} == {"is stored as ModelOpt's nvfp4"}


def test_its_tensors_under_a_silent_config_are_one_error(nvfp4: Path) -> None:
    edit_config(nvfp4, quantization_config=None)
    with pytest.raises(CheckpointError, match=r"holds tensors of compressed-tensors .* does not say so"):
        audit(Checkpoint.survey(nvfp4))


def test_a_repair_leaves_its_block_and_its_weights(nvfp4: Path, make_checkpoint: Any, tmp_path: Path) -> None:
    edit_config(nvfp4, time_step_limit=[0.0, {"__float__": "Infinity"}])
    edit_tensors(nvfp4, lambda t: [t.pop(name) for name in list(t) if name.startswith("mtp.")])
    source = Checkpoint.open(make_checkpoint("bf16"))
    repair = repair_checkpoint(Checkpoint.survey(nvfp4), tmp_path / "out", source)
    assert repair.after.findings == []
    before, after = (json.loads((place / "config.json").read_text()) for place in (nvfp4, tmp_path / "out"))
    assert after["quantization_config"] == before["quantization_config"]
    assert after["num_nextn_predict_layers"] == 0
    assert not (tmp_path / "out" / "hf_quant_config.json").exists()


def test_our_own_runtimes_refuse_it_by_name(nvfp4: Path) -> None:
    with pytest.raises(CheckpointError, match="its weights are compressed-tensors NVFP4, which trtnemo's own runtimes"):
        NemotronH.from_checkpoint(Checkpoint.open(nvfp4))


def test_modelopts_classes_are_not_asked_about_it(nvfp4: Path) -> None:
    with pytest.raises(CheckpointError, match="compressed-tensors NVFP4, which ModelOpt does not decode"):
        audit(Checkpoint.survey(nvfp4), with_modelopt=True)

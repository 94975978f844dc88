"""Nemotron-3 Super at its full size, as phantoms: real headers over holes, written without our code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints import phantom as phantoms
from tests.support.paths import CHECKPOINTS
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.format.header import read_header
from trtnemo.checkpoint.format.storage import StorageType

PHANTOM = CHECKPOINTS / "phantom.py"
# tensors, bytes of the released headers (NVFP4), of the computed BF16 original, and of FP8 by an inferred rule
TOTALS = {
    "nvfp4": (165_860, 80_297_329_824),
    "bf16": (42_683, 247_222_108_160),
    "fp8": (124_939, 128_334_890_304),
}
PARAMETERS, DRAFT_PARAMETERS = 120_668_707_840, 2_942_325_248


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: Any) -> Any:
    made = {}

    def make(precision: Any) -> Any:
        if precision not in made:
            made[precision] = tmp_path_factory.mktemp("phantom") / precision
            command = [sys.executable, str(PHANTOM), str(made[precision]), "--precision", precision]
            subprocess.run(command, check=True, capture_output=True)
        return made[precision]

    return make


@pytest.mark.parametrize("precision", TOTALS)
def test_super_is_what_its_config_and_map_promise_to_the_byte(phantom: Any, precision: Any) -> None:
    directory = phantom(precision)
    report = audit(Checkpoint.open(directory), values=False)
    assert report.findings == [f for f in report.findings if f.rule == "tokenizer-missing"]
    assert (report.tensors, report.bytes) == TOTALS[precision]
    assert sum(file.stat().st_blocks * 512 for file in directory.iterdir()) < 100_000_000


# BF16 parameters that config.json's sizes give by hand: see each model's card for the rounded number
RELATIVES = [
    ("nano", "bf16"),
    ("nano", "nvfp4"),
    ("ultra", "bf16"),
    ("lightning", "nvfp4"),
    ("lightning", "bf16"),
    ("nemotron-h-56b", "bf16"),
]


@pytest.mark.parametrize(("model", "precision"), RELATIVES)
def test_every_relative_is_what_its_config_and_map_promise(tmp_path: Path, model: Any, precision: Any) -> None:
    """One MoE without latent projections, one with words for layers, one dense: headers written without our code."""
    phantoms.write_phantom(tmp_path / model, precision, 4, model)
    report = audit(Checkpoint.survey(tmp_path / model), values=False)
    assert {finding.rule for finding in report.findings} == {"tokenizer-missing"}


@pytest.mark.parametrize(
    ("model", "billions"), [("nano", 31.6), ("ultra", 550), ("nemotron-h-56b", 56)], ids=["nano", "ultra", "56b"]
)
def test_relatives_have_about_as_many_parameters_as_their_names_say(
    tmp_path: Path, model: str, billions: float
) -> None:
    phantoms.write_phantom(tmp_path / model, "bf16", 4, model)
    tensors = Checkpoint.survey(tmp_path / model).tensors
    count = sum(info.elements for name, info in tensors.items() if not name.startswith("mtp."))
    assert count / 1e9 == pytest.approx(billions, rel=0.02)


def test_parameters_are_those_that_were_published(phantom: Any) -> None:
    tensors = Checkpoint.open(phantom("bf16")).tensors.values()
    draft = sum(info.elements for info in tensors if info.name.startswith("mtp."))
    assert draft == DRAFT_PARAMETERS
    assert sum(info.elements for info in tensors) - draft == PARAMETERS


def test_the_released_map_differs_from_layer_to_layer(phantom: Any) -> None:
    checkpoint = Checkpoint.open(phantom("nvfp4"))
    stored = {info.storage for info in checkpoint.tensors.values() if info.name.endswith("in_proj.weight")}
    assert stored == {StorageType.BF16, StorageType.F8_E4M3}
    assert checkpoint.tensors["backbone.layers.1.mixer.shared_experts.down_proj.weight"].storage is StorageType.U8


def test_one_scale_among_all_is_missed(phantom: Any, tmp_path: Path) -> None:
    """The shard is written again without one scalar; holes keep it small."""
    source, index_name = phantom("nvfp4"), "model.safetensors.index.json"
    index = json.loads((source / index_name).read_text())
    name = "backbone.layers.23.mixer.experts.17.up_proj.weight_scale_2"
    shard = index["weight_map"].pop(name)
    for file in source.iterdir():
        if file.name not in (shard, index_name):
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / index_name).write_text(json.dumps(index))
    content = [
        (info.name, info.storage.value, list(info.shape))
        for info in read_header(source / shard).values()
        if info.name != name
    ]
    phantoms.write_shard(tmp_path / shard, content)
    report = audit(Checkpoint.open(tmp_path), values=False)
    assert [(finding.rule, finding.subject) for finding in report.errors] == [("tensor-missing", name)]

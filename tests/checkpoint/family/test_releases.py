"""The released family: every line of the table loads, and every file of the folder is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trtnemo.checkpoint.family import releases
from trtnemo.checkpoint.family.releases import FOLDER, RELEASES, find_release, release_named
from trtnemo.errors import CheckpointError


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_loads_by_its_id_and_by_the_last_part_of_a_path(name: str) -> None:
    release = find_release(name)
    assert release is not None
    assert release.name == name
    assert len(release.config.layer_kinds) > 20
    assert release_named(f"/copies/{name.rpartition('/')[2]}/") == release


def test_every_file_of_the_folder_is_of_a_release() -> None:
    named = {file for pair in RELEASES.values() for file in pair if file and not file.startswith("rule:")}
    assert {path.stem for path in FOLDER.glob("*.json")} - {"card_accuracy"} == named


def test_a_map_in_another_form_is_refused_with_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "super-nvfp4.json").write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))
    (tmp_path / "super.json").write_text((FOLDER / "super.json").read_text())
    monkeypatch.setattr(releases, "FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match=r"super-nvfp4\.json: names no 'source'"):
        find_release("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4")

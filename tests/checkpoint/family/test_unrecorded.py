"""Members of the family that are known by name alone."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from trtnemo.checkpoint.family.releases import FOLDER, RELEASES
from trtnemo.checkpoint.family.unrecorded import unrecorded_member
from trtnemo.errors import CheckpointError, RecipeError
from trtnemo.launch.chosen import CPU_RECIPE, choose
from trtnemo.plan import network
from trtnemo.recipe import load_recipe
from trtnemo.recipe.source import shipped_names
from trtnemo.recipe.unwritten import GENERAL, MEMBERS, why_unwritten

UNRECORDED = [
    ("nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16", "4b"),
    ("nvidia/NVIDIA-Nemotron-3-Nano-4B", "4b"),
    ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", "9b"),
    ("nvidia/NVIDIA-Nemotron-Nano-9B-v2-NVFP4", "9b"),
    ("nvidia/Nemotron-Nano-12B-v2", "12b"),
]


@pytest.mark.parametrize(("name", "size"), UNRECORDED)
def test_member_without_a_record_is_told_by_name_where_nothing_comes(name: str, size: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        choose(name)
    told = str(raised.value)
    assert f"{MEMBERS[size]} is a member of the family whose config.json is not recorded here" in told
    for part in ("the hub is offline", "config.json decides once", f"recipe {GENERAL}"):
        assert part in told


def test_config_that_came_decides(tmp_path: Path) -> None:
    raw = json.loads((FOLDER / "nemotron-h-56b.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with mock.patch.object(network, "fetch_snapshot", return_value=tmp_path):
        found = network.find_network("nvidia/NVIDIA-Nemotron-Nano-9B-v2")
    assert found.config.hidden_size == raw["hidden_size"]


def test_recorded_and_foreign_names_are_not_members_without_a_record() -> None:
    assert [name for name in (*RELEASES, "nvidia/Nemotron-Nano-90B", "meta/Llama-9B") if unrecorded_member(name)] == []


@pytest.mark.parametrize("name", ["nano-4b-cpu", "nano-9b-cpu", "Nano-12B-v2-cpu", "nano-4b.yaml"])
def test_recipe_that_is_not_written_says_why(name: str) -> None:
    for ask in (lambda: load_recipe(name), lambda: choose(name)):
        with pytest.raises((RecipeError, CheckpointError), match=r"configuration of .* is not recorded here.*nano-cpu"):
            ask()


def test_name_without_its_owner_is_completed() -> None:
    with pytest.raises(CheckpointError, match="Give nvidia/NVIDIA-Nemotron-Nano-9B-v2"):
        choose("NVIDIA-Nemotron-Nano-9B-v2")


def test_no_shipped_recipe_is_of_an_unrecorded_member() -> None:
    assert [name for name in shipped_names() if why_unwritten(name)] == []
    assert GENERAL == CPU_RECIPE

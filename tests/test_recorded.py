"""What users saw before the code was rearranged, they see after it: recorded at 8d6b67e by `tests.support.recorded`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import CARD
from tests.support.recorded import FORMS, RECORDED, answer, answer_to_card, grown, only_keys, without_sentences
from trtnemo import LLM, SamplingParams
from trtnemo.engine.engine import Engine, verify_files
from trtnemo.engine.manifest import BundleManifest, read_manifest

RECIPES = {path.stem: path for path in (RECORDED / "recipes").glob("*.json") if not path.stem.startswith("card-")}
CARDS = {path.stem: path for path in (RECORDED / "recipes").glob("card-*.json")}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_every_recipe_of_0_1_0_and_command_of_the_card_was_recorded() -> None:
    assert len({name.partition("+")[0] for name in RECIPES}) == 17  # recipes that came later have no past
    assert {f"card-{path.stem}" for path in CARD.glob("*.txt")} == set(CARDS)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_renders_checks_and_plans_as_before(name: str) -> None:
    recorded = read(RECIPES[name])
    now = answer(recorded["recipe"], recorded["settings"])
    for form in FORMS:
        assert now["render"][form] == recorded["render"][form], form
    assert without_sentences(grown(now["check"], recorded["check"])) == without_sentences(recorded["check"])
    plan = recorded["plan"]["json"]
    kept = only_keys if plan is not None and plan["deployment"]["device"] == "cpu" else without_sentences
    assert kept(now["plan"]) == kept(recorded["plan"])


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_command_of_the_card_is_checked_as_before(name: str) -> None:
    recorded = read(CARDS[name])
    now = answer_to_card(recorded["command"])
    kept = {**now, "check": grown(now["check"], recorded["check"])}
    assert without_sentences(kept) == without_sentences(recorded)


def test_an_engine_of_the_last_version_opens_and_answers(tiny_engine: Path, tmp_path: Path) -> None:
    """The small files are those of 0.1.0; weights are packed anew, and its digests say that they are the same bytes."""
    engine = tmp_path / "engine"
    shutil.copytree(tiny_engine, engine)
    old = RECORDED / "engine-0.1.0"
    for source, target in (("engine.json", "."), ("graph.json", "."), ("weights.json", "cpu-v1")):
        shutil.copy(old / source, engine / target / source)
    assert verify_files(engine, Engine.open(engine).manifest, thorough=True) == []
    with LLM(engine) as llm:
        assert llm.generate(["12 + 30 ="], SamplingParams(max_tokens=5, temperature=0))[0].text == " 42."


def test_a_bundle_of_the_last_version_opens() -> None:
    bundle = RECORDED / "bundle-0.1.0"
    manifest = read_manifest(bundle)
    assert isinstance(manifest, BundleManifest)
    assert manifest.command[:2] == ["trtllm-serve", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"]
    assert verify_files(bundle, manifest, thorough=True) == []

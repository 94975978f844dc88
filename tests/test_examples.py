"""The first files that a newcomer runs: they name the port that `tiny` serves, and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from trtnemo.recipe import load_recipe

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CLIENTS = [path for path in EXAMPLES if path.stem != "llm"]


def test_the_readme_names_every_example() -> None:
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "examples" / "README.md").read_text()))
    assert named == {path.name for path in EXAMPLES}
    assert CLIENTS != EXAMPLES


@pytest.mark.parametrize("example", CLIENTS, ids=lambda path: path.stem)
def test_an_example_asks_the_port_and_a_name_that_tiny_serves(example: Path) -> None:
    recipe, text = load_recipe("tiny"), example.read_text()
    assert re.findall(r'base_url="(.*?)"', text) == [f"http://localhost:{recipe.server.port}/v1"]
    assert re.findall(r'MODEL = "(.*?)"', text)[0] in recipe.served_model_names


@pytest.mark.parametrize("example", CLIENTS, ids=lambda path: path.stem)
def test_an_example_runs_against_tiny(example: Path, tiny_url: str) -> None:
    port = load_recipe("tiny").server.port
    text = example.read_text().replace(f"http://localhost:{port}", tiny_url)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    if example.stem == "reasoning_on":
        assert len(done.stdout.splitlines()) == 3  # a haiku
    else:
        assert {"tool_round_trip": "Osaka"}.get(example.stem, "Tokyo") in done.stdout


def test_the_example_without_a_server_runs(tiny_engine: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "llm.py"), str(tiny_engine)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    tokyo, nairobi = done.stdout.splitlines()
    assert "Tokyo" in tokyo
    assert "Nairobi" in nairobi

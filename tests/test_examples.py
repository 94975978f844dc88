"""The first files that a newcomer runs: they name the port that `tiny` serves, and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.adapters import make_adapter
from tests.support.paths import ROOT
from trtnemo.recipe import load_recipe

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CLIENTS = [path for path in EXAMPLES if path.stem not in ("llm", "weights")]


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


def test_the_example_of_weights_runs(make_checkpoint: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "weights.py"), str(make_checkpoint("bf16"))]
    done = subprocess.run([*command, str(tmp_path / "new")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "layers left plain" in done.stdout
    assert re.search(r"the worst: backbone\.layers\.\d.*, \d+\.\d dB", done.stdout)
    again = subprocess.run([*command, str(tmp_path / "new")], capture_output=True, text=True, timeout=60)
    assert (again.returncode, "already exists" in again.stderr, "Traceback" in again.stderr) == (1, True, False)


def test_the_page_of_the_library_runs_as_it_stands(make_checkpoint: Any, shared: Any, tmp_path: Path) -> None:
    base = make_checkpoint("bf16")
    adapter = shared("adapter", lambda output: make_adapter(base, output, r=2, target_modules=["q_proj"]))
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    (tmp_path / "BF16DIR").symlink_to(base)
    (tmp_path / "LORA").symlink_to(adapter)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} >= {"MERGED", "NVFP4", "FUSED"}


def test_every_name_of_the_library_is_there_and_loads_nothing_before_it_is_asked_for() -> None:
    code = "import sys, trtnemo.checkpoint as c; assert 'numpy' not in sys.modules; [getattr(c, n) for n in c.__all__]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")

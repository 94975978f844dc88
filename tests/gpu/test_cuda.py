"""What a person with a GPU will run of our CUDA kernels: the script's words, and each part over the interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "cuda.sh"


def run(*arguments: Any) -> Any:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=600)


def test_a_dry_run_prints_every_part_and_runs_none(tmp_path: Path) -> None:
    done = run("--dry-run", "--output", str(tmp_path / "out"), "--wheels", str(tmp_path))
    assert done.returncode == 0, done.stderr
    parts = [
        line.split(" -m tests.gpu.cuda ")[1].split()[0] for line in done.stdout.splitlines() if "tests.gpu" in line
    ]
    assert parts == ["machine", "products", "plugins", "bandwidth", "launches", "tiny", "prompts", "nano", "super"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--card", "x"), ("--wheels",)])
def test_an_unknown_option_or_a_missing_value_is_refused(words: Any) -> None:
    assert run(*words).returncode != 0


def test_a_machine_without_a_gpu_is_told_how_to_try_it(tmp_path: Path) -> None:
    done = run("--output", str(tmp_path))
    assert done.returncode == 6
    assert "--interpret" in done.stderr


# minutes each over the interpreter
SLOW_PARTS = [pytest.param(part, marks=pytest.mark.slow) for part in ("nano",)]
LONG_PARTS = [pytest.param(part, marks=pytest.mark.long) for part in ("tiny", "prompts", "super")]


@pytest.mark.parametrize("part", ["machine", "products", "plugins", "bandwidth", "launches", *SLOW_PARTS, *LONG_PARTS])
def test_a_part_runs_over_the_interpreter_and_writes_json(part: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.gpu.cuda", part, "--interpret", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=SCRIPT.parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(report.read_text())
    assert found["part"] == part
    assert found.get("passed", True)

"""What a person with a GPU will run: its commands, and its measuring script over the interpreter."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from trtnemo.cli import cli
from trtnemo.recipe import load_recipe

GPU = Path(__file__).parent
CARDS = sorted(path.stem for path in (GPU / "cards").iterdir())


def run(*arguments: Any, **options: Any) -> Any:
    return subprocess.run([GPU / "run.sh", *arguments], capture_output=True, text=True, **options)


@pytest.mark.parametrize("card", CARDS)
def test_a_dry_run_prints_commands_that_our_own_program_takes(card: Any) -> None:
    done = run("--card", card, "--dry-run", "--full", "--output", "out")
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line.removeprefix("+ ")) for line in done.stdout.splitlines() if " -c " not in line]
    ours = [words[1:] for words in lines if words[0].endswith("/trtnemo")]
    assert [words[0] for words in ours] == ["doctor", "build", "build", "build", "fetch", "build"]
    for words in ours:
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        command.make_context(words[0], words[1:])  # raises on an option or value that the command has not
        settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        if words[0] == "build":
            load_recipe(words[words.index("--recipe") + 1], settings)


def test_every_card_builds_for_its_own_device() -> None:
    for card in CARDS:
        lines = (GPU / "cards" / f"{card}.env").read_text().splitlines()
        values = dict(line.split("=") for line in lines if not line.startswith("#"))
        recipe = load_recipe(values["RECIPE"])
        assert recipe.hardware.compute_capability == values["CAPABILITY"]
        assert recipe.hardware.name == card
        assert recipe.checkpoint == values["CHECKPOINT"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(["--card", "none"], 2, "no card 'none'"), (["--fast"], 2, "unknown option"), ([], 6, "no nvidia-smi here")],
)
def test_a_wrong_call_is_told_in_one_line(arguments: list[Any], code: int, words: str) -> None:
    done = run(*arguments, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == code
    assert words in done.stderr


def test_the_script_passes_shellcheck() -> None:
    done = subprocess.run([Path(sys.executable).parent / "shellcheck", GPU / "run.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_measuring_script_runs_whole_over_the_interpreter(make_plans: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, GPU / "measure.py", make_plans("mixed"), "--interpret", "--report", report]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["comparison"]["passed"]
    assert found["device"] == "interpreter on the CPU"
    assert [times["batch"] for times in found["times"]] == [1, 4]
    assert all(
        times["first_decode_seconds"] > 0 and times["decode_seconds"] > 0 and times["decode_bound_seconds"] > 0
        for times in found["times"]
    )

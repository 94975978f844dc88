"""The CI files: GitHub's and GitLab's own schemas take them, shellcheck their scripts, and what they name is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.support.paths import ROOT
from trtnemo.bench.sweep.sweep_spec import load_spec, points
from trtnemo.cli import cli

GITHUB = (".github/workflows/bench.yml", ".github/workflows/ci.yml", ".github/workflows/release.yml",
          "docs/ci/gpu-runner.yml")  # fmt: skip
GITLAB = "docs/ci/gitlab-bench.yml"
BIN = Path(sys.executable).parent


def scripts(name: Any) -> Any:
    """Return every piece of shell in a file; what GitHub puts in is a word."""
    data = yaml.safe_load((ROOT / name).read_text())
    if name == GITLAB:
        return ["\n".join(data["bench-gate"]["script"])]
    steps = [step["run"] for job in data["jobs"].values() for step in job["steps"] if "run" in step]
    return [re.sub(r"\$\{\{.*?\}\}", "word", step) for step in steps]


@pytest.mark.parametrize("name", [*GITHUB, GITLAB])
def test_the_schema_takes_it(name: Any) -> None:
    words = ["--builtin-schema", "vendor.github-workflows"]
    if name == GITLAB:
        words = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    done = subprocess.run([BIN / "check-jsonschema", *words, ROOT / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [*GITHUB, GITLAB])
def test_shellcheck_has_nothing_to_say_of_its_scripts(name: Any, tmp_path: Path) -> None:
    found = scripts(name)
    assert found
    files = [tmp_path / f"{number}.sh" for number in range(len(found))]
    for file, script in zip(files, found, strict=True):
        file.write_text("#!/usr/bin/env bash\nset -e\n" + script)
    done = subprocess.run([BIN / "shellcheck", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "named"),
    [
        (".github/workflows/bench.yml", "benchmarks/tiny-sweep.yaml"),
        (GITLAB, "benchmarks/tiny-sweep.yaml"),
        ("docs/ci/gpu-runner.yml", "benchmarks/gate.yaml"),
    ],
)
def test_what_a_benchmark_calls_is_there(name: Any, named: str) -> None:
    makefile, text = (ROOT / "Makefile").read_text(), "\n".join(scripts(name))
    made = {word for line in re.findall(r"make (.*)", text) for word in line.split()}
    assert {".venv/.installed", ".venv-bench/.installed"} <= made
    assert ("bench-gate" in made) == (name != "docs/ci/gpu-runner.yml")
    for target in made & {".venv/.installed", ".venv-bench/.installed", "bench-gate"}:
        assert f"\n{target.replace('.venv/', '$(VENV)/')}:" in makefile
    files = re.findall(r"benchmarks/[\w.-]+", text)
    assert named in files
    for file in files:
        assert (ROOT / file).is_file()


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (".github/workflows/bench.yml", ["bench sweep", "bench report"]),
        (GITLAB, ["bench sweep", "bench report"]),
        ("docs/ci/gpu-runner.yml", ["serve --recipe", "bench run", "bench report", "bench gate"]),
    ],
)
def test_every_command_of_ours_takes_its_words(name: Any, called: list[Any]) -> None:
    """Parsed by the commands themselves, and nothing is run; variables are words."""
    found_commands = []
    lines = "\n".join(scripts(name)).replace("\\\n", " ").splitlines()
    for line in lines:
        found = re.search(r"\S*trtnemo (?=bench|serve)(.*)", line)
        if found is None:
            continue
        words = [re.sub(r"\$\w+", "1", word) for word in shlex.split(re.split(r"\|\||&", found[1])[0])]
        found_commands.append(" ".join(words[:2]))
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group):
            named = command.get_command(context, words.pop(0))
            assert named is not None, line
            command = named
        command.make_context(command.name, words)
    assert found_commands == called


def test_the_sweep_of_ci_has_twelve_points() -> None:
    assert len(points(load_spec(ROOT / "benchmarks" / "tiny-sweep.yaml"))) == 12

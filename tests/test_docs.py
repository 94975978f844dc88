"""Pages that people read: lines that can be reviewed, links and paths that lead somewhere, commands that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from tests.support.commands import trtnemo_here
from tests.support.paths import ROOT
from trtnemo.cli import cli

PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
]  # fmt: skip
BY_HAND = [page for page in PAGES if page.name != "reference.md"]
PAGE = pytest.mark.parametrize("page", BY_HAND, ids=lambda page: str(page.relative_to(ROOT)))
WIDEST = 120
# roots that a page's paths may begin from, beside its own folder
ROOTS = ("", "trtnemo", "docs", "trtnemo/backends/tensorrt")


@PAGE
def test_prose_has_lines_that_a_diff_can_show(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > WIDEST and not line.lstrip().startswith("|")] == []


@PAGE
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"`([\w./-]+/[\w./-]+\.(?:py|md|yaml|json|jsonl|cpp|hpp|sh|yml))`", text)
    named = [path for path in paths if not re.search(r"NAME|SERVER|VERSION|FORMAT", path)]  # these stand for any
    places = [*(ROOT / root for root in ROOTS), page.parent]
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


def test_the_index_of_the_docs_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()


def test_the_readme_names_every_command_and_no_other() -> None:
    table = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    cells = [line.split("|")[1] for line in table if re.match(r"\| `[a-z]+`[ ,|]", line)]
    named = {name for cell in cells for name in re.findall(r"`([a-z]+)`", cell)}
    with click.Context(cli) as context:
        assert named - {"tiny"} == set(cli.list_commands(context))


def shown_commands() -> list[str]:
    """Return every `trtnemo ...` line that the README shows as code."""
    lines = (ROOT / "README.md").read_text().splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("    trtnemo ")]


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_of_the_readme_has_its_options(line: str) -> None:
    words = re.findall(r"(?<!\S)--[a-z-]+", line.partition('"')[0] if "--command" in line else line)
    shown = trtnemo_here(line.split()[1], "--help")
    assert shown.returncode == 0
    assert [word for word in words if not re.search(rf"{word}(?![\w-])", shown.stdout)] == []


def test_the_readme_shows_the_fault_of_the_line_that_it_has_checked() -> None:
    line = next(line for line in shown_commands() if "--swap-space" in line)
    pasted = re.findall(r'"(.*?)"', line)[0]
    checked = trtnemo_here("check", "--command", pasted)
    assert checked.returncode == 1
    assert "vllm-swap-space" in checked.stdout


def test_every_target_of_the_readme_is_one_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")]
    named = {target for page in pages for target in re.findall(r"(?:`|^    )make ([a-z-]+)", page, re.MULTILINE)}
    assert named - targets == set()
    assert named

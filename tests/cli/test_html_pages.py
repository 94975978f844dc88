"""`--html` of `check --deep` and `diff`: one page that needs nothing else, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.commands import trtnemo_here
from trtnemo.engine.manifest import MANIFEST

BROWSER = shutil.which("chromium")
SCRIPT = "backbone.<script>alert(1)</script>"


def require_self_contained(page: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert not re.search(r"<script|<link|<iframe|@import|https?://|url\((?!#)", page)
    assert set(re.findall(r'(?:href|src)="(.)', page)) <= {"#", "d"}


@pytest.fixture
def named(copy_checkpoint: Any) -> Path:
    """Return a checkpoint with a tensor whose name is a script."""
    directory: Path = copy_checkpoint("bf16")
    content = load(directory)
    content[SCRIPT] = content["lm_head.weight"].clone()
    content["lm_head.weight"][3] = float("nan")
    save(directory, content)
    return directory


def test_a_scan_is_a_page_and_prints_as_without(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = trtnemo_here("check", "tiny", "--deep", "--html", page)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("passed: 0 errors, 0 warnings, 0 notes\n")
    text = page.read_text(encoding="utf-8")
    require_self_contained(text)
    assert "6,705,392" in text
    assert "passed: 0 errors, 0 warnings, 0 notes" in text
    assert list(tmp_path.iterdir()) == [page]


def test_names_of_a_checkpoint_are_escaped(named: Path, make_checkpoint: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert trtnemo_here("check", named, "--deep", "--html", page, "--json").returncode == 1
    require_self_contained(page.read_text(encoding="utf-8"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.read_text(encoding="utf-8")
    for first, second in ((named, make_checkpoint("bf16")), (make_checkpoint("bf16"), named)):
        assert trtnemo_here("diff", first, second, "--html", page).returncode == 1
        text = page.read_text(encoding="utf-8")
        require_self_contained(text)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "no number" in text


def test_a_comparison_is_a_page(make_checkpoint: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = trtnemo_here("diff", make_checkpoint("bf16"), make_checkpoint("nvfp4"), "--html", page)
    assert (result.returncode, result.stderr) == (1, "")
    text = page.read_text(encoding="utf-8")
    require_self_contained(text)
    assert re.search(r"\d+ of 136 tensors differ; only in the second: \d+", text)
    assert "backbone.mixer.experts.*.up_proj" in text
    assert re.search(r"<title>backbone\.layers\.1\.mixer\.experts\.3\.up_proj\.weight: 20\.\d dB</title>", text)
    assert "lm_head.weight: equal" in text


def test_two_that_are_the_same_are_a_page_that_says_so(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert trtnemo_here("diff", "tiny", "tiny", "--html", page).returncode == 0
    assert "The same: 309 tensors." in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "tiny"], "--html draws what --deep reads of a CHECKPOINT. Add --deep"),
        (["check", "--recipe", "tiny"], "--html draws what --deep reads of a CHECKPOINT"),
        (["check", "--recipe", "tiny", "--deep"], "go with a CHECKPOINT"),
        (["check", "tiny", "tiny", "--deep"], "Got unexpected extra argument"),
        (["diff", "engine", "tiny"], "--html draws the weights of two checkpoints, and these are engines or bundles"),
    ],
)
def test_what_has_no_page_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / MANIFEST).write_text("{}")
    result = trtnemo_here(*words, "--html", "page.html", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert not (tmp_path / "page.html").exists()


def folder(place: Path) -> None:
    place.mkdir()


def weights(place: Path) -> None:
    place.write_bytes(b"weights")


def link(place: Path) -> None:
    place.symlink_to(place.with_name("elsewhere"))


def stood(place: Path) -> tuple[int, int, int]:
    found = place.lstat()  # whose time of access a reader changes
    return found.st_ino, found.st_mode, found.st_mtime_ns


@pytest.mark.parametrize(
    ("make", "message"),
    [(folder, "exists and is not a file"), (link, "exists and is not a file"), (os.mkfifo, "exists and is not a file"),
     (weights, "exists and is no HTML page, so it is not replaced")],
)  # fmt: skip
@pytest.mark.parametrize("words", [["check", "tiny", "--deep"], ["diff", "tiny", "tiny"]])
def test_what_is_no_page_is_not_replaced(tmp_path: Path, make: Any, message: str, words: list[str]) -> None:
    place = tmp_path / "page.html"
    make(place)
    before = stood(place)
    result = trtnemo_here(*words, "--html", place)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert stood(place) == before


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    for place in (tmp_path / "no" / "page.html", tmp_path / ("x" * 300)):
        result = trtnemo_here("check", "tiny", "--deep", "--html", place)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)


def test_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><p>old")
    assert trtnemo_here("check", "tiny", "--deep", "--html", page).returncode == 0
    assert "old" not in page.read_text(encoding="utf-8")[:100]
    assert len(page.read_text(encoding="utf-8")) > 10_000


def test_a_scan_without_a_page_brings_no_template_engine() -> None:
    code = "import sys; from trtnemo.cli import cli; from trtnemo.cli.group import run; "
    code += "run(cli, ['check', 'tiny', '--deep', '--json']); print([n for n in sys.modules if n == 'jinja2'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine; `apt-get install chromium` brings it")
@pytest.mark.parametrize("words", [["check", "tiny", "--deep"], ["diff", "tiny", "tiny"]])
def test_a_browser_complains_of_nothing(tmp_path: Path, words: list[str]) -> None:
    assert BROWSER is not None
    page = tmp_path / "page.html"
    trtnemo_here(*words, "--html", page)
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--v=0",
    )
    done = subprocess.run(
        [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert not re.search("CONSOLE|Refused to|Content Security Policy", done.stderr), done.stderr
    assert "</html>" in done.stdout

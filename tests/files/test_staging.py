"""Directories that appear whole or not at all, whoever else builds beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import EngineError
from trtnemo.files import staging
from trtnemo.files.staging import check_output, staged_directory


def write(output: Any, text: Any = "new", force: Any = False) -> Any:
    with staged_directory(output, force, "marker", EngineError) as place:
        assert place.parent == output.parent
        (place / "marker").write_text(text)
        return place


def names(directory: Any) -> Any:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def ended() -> Any:
    """Return the id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def running() -> Iterator[Any]:
    """Return the id of a process that lives."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", ["building", "replaced"])
def test_a_build_under_way_is_not_tidied_away(tmp_path: Path, running: Any, kind: str) -> None:
    place = tmp_path / f".out.{kind}-{running}"
    place.mkdir()
    (place / "half").write_text("written")
    write(tmp_path / "out")
    assert (place / "half").read_text() == "written"
    assert names(tmp_path) == [place.name, "out"]


@pytest.mark.parametrize("kind", ["building", "replaced"])
def test_what_a_dead_build_left_is_tidied_away_and_nothing_else(tmp_path: Path, ended: Any, kind: str) -> None:
    left = tmp_path / f".out.{kind}-{ended}"
    others = [f".out.{kind}-", f".out.{kind}-{ended}.kept", f".other.{kind}-{ended}", f".out.{ended}", ".out.plans"]
    for name in (left.name, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    write(tmp_path / "out")
    assert names(tmp_path) == sorted([*others, "out"])


def test_a_process_of_somebody_else_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: Any, number: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert staging._is_alive(1)


def test_a_directory_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "er" / "out"
    with staged_directory(output, False, "marker", EngineError) as place:
        (place / "marker").write_text("x")
        assert not output.exists()
    assert (output / "marker").read_text() == "x"
    assert names(output.parent) == ["out"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")

    def fail() -> None:
        with staged_directory(tmp_path / "out", True, "marker", EngineError) as place:
            (place / "marker").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "out" / "marker").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_force_replaces_a_directory_of_its_kind_whole(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out" / "older").write_text("x")
    write(tmp_path / "out", "new", force=True)
    assert names(tmp_path / "out") == ["marker"]
    assert (tmp_path / "out" / "marker").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    output = tmp_path / "out"
    check_output(output, False, "marker", EngineError)
    output.mkdir()
    with pytest.raises(EngineError, match=r"already exists.*--force"):
        check_output(output, False, "marker", EngineError)
    check_output(output, True, "marker", EngineError)  # empty
    (output / "letter").write_text("dear")
    with pytest.raises(EngineError, match="holds no marker, so --force does not replace it"):
        check_output(output, True, "marker", EngineError)
    (output / "marker").mkdir()
    with pytest.raises(EngineError, match="holds no marker"):
        check_output(output, True, "marker", EngineError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(EngineError, match="holds no marker"):
        check_output(tmp_path / "file", True, "marker", EngineError)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EngineError, match=r"cannot be written: (Not a directory|File exists)"):
        write(tmp_path / "file" / "out")

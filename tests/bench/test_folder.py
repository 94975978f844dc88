"""Directories of results: one writer, and no half-written file."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtnemo.bench.folder import held, is_empty, read_json, write_whole
from trtnemo.errors import UsageError


def test_a_second_writer_is_kept_out_until_the_first_is_done(tmp_path: Path) -> None:
    with held(tmp_path / "results"):
        assert is_empty(tmp_path / "results")
        (tmp_path / "results" / ".pairs.json.part").touch()  # of a command that was killed
        assert is_empty(tmp_path / "results")
        with pytest.raises(UsageError, match="another command is writing here"), held(tmp_path / "results"):
            pass
    with held(tmp_path / "results"):
        (tmp_path / "results" / ".git").mkdir()
        assert not is_empty(tmp_path / "results")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="cannot be a directory of results"), held(path):
            pass


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", '{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "3", '"text"'])
def test_what_is_no_object_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UsageError, match=r"a\.json: cannot be read"):
        read_json(tmp_path / "a.json")

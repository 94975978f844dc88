"""The input of a batch is read whole before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.batch import count_lines, read_lines
from trtnemo.errors import UsageError

GOOD = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "tiny"}}


def written(path: Any, *lines: Any) -> Any:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_ids_and_models_of_all_lines_are_known(tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", GOOD, {**GOOD, "custom_id": "2", "body": {}})
    path.write_text(path.read_text() + "\n  \n")
    found = count_lines(path)
    assert (found.ids, found.models) == (frozenset({"1", "2"}), frozenset({"tiny", ""}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"custom_id": ""}, "custom_id"),
        ({"custom_id": 7}, "custom_id"),
        ({"method": "GET"}, "method"),
        ({"url": "http://elsewhere/v1/completions"}, "url"),
        ({"url": "/v1/../admin"}, "url"),
        ({"body": []}, "body"),
        ({"body": {"stream": True}}, "stream"),
        ({"body": {"model": 4}}, "model"),
        ({"body": {"temperature": float("inf")}}, "which JSON does not allow"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, change: Any, told: str) -> None:
    path = written(tmp_path / "in.jsonl", GOOD, {**GOOD, "custom_id": "2", **change})
    with pytest.raises(UsageError, match=rf"in\.jsonl:2: .*{told}"):
        count_lines(path)


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff\xfe", b"nan", b'{"custom_id": "\xff"}'])
def test_what_is_no_json_is_named(tmp_path: Path, line: Any) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match=r"in\.jsonl:1"):
        count_lines(path)


def test_an_id_that_stands_twice_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'1' stands twice"):
        count_lines(written(tmp_path / "twice.jsonl", GOOD, GOOD))
    with pytest.raises(UsageError, match="holds no request"):
        count_lines(written(tmp_path / "empty.jsonl"))
    with pytest.raises(UsageError, match="No such file"):
        count_lines(tmp_path / "missing.jsonl")


LINE = st.sampled_from([json.dumps(GOOD).encode(), b"", b"  ", b"{"]) | st.binary(max_size=60)


@given(st.lists(LINE, max_size=4).map(b"\n".join))
def test_any_bytes_are_read_or_refused(tmp_path_factory: Any, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    try:
        found = list(read_lines(path))
    except UsageError as error:
        assert str(error).startswith(str(path))
        assert len(str(error).splitlines()) == 1
        return
    assert len(found) == sum(bool(line.strip()) for line in data.split(b"\n"))

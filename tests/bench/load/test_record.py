"""Runs on disk: whole or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.records import request, run_record
from trtnemo.bench.load.record import REQUESTS, RUN, RunRecord, find_runs
from trtnemo.errors import UsageError


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    run = run_record([request(0, sent=0.0), request(1, sent=0.5, status="failed", error="x\ny")])
    run.save(tmp_path / "a" / "b")
    assert RunRecord.load(tmp_path / "a" / "b") == run
    assert find_runs(tmp_path) == [tmp_path / "a" / "b"]


def test_a_half_written_run_is_none(tmp_path: Path) -> None:
    run_record([request(0, sent=0.0)]).save(tmp_path)
    (tmp_path / RUN).unlink()
    with pytest.raises(UsageError, match="is not a finished run"):
        RunRecord.load(tmp_path)
    with pytest.raises(UsageError, match="holds no finished run"):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (RUN, "{"),
        (RUN, "[]"),
        (RUN, '{"version": 2}'),
        (REQUESTS, '{"number": 0'),
        (REQUESTS, '{"number": 0, "surprise": 1}\n'),
        (REQUESTS, "3\n"),
    ],
)
def test_a_damaged_run_is_refused_with_its_place(tmp_path: Path, file: Any, content: str) -> None:
    run_record([request(0, sent=0.0)]).save(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(UsageError, match=r"run\.json: cannot be read as a run"):
        RunRecord.load(tmp_path)

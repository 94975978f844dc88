"""Results survive a kill at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trtnemo.batch import ResultFile
from trtnemo.errors import MachineError, UsageError

IDS = frozenset(str(number) for number in range(10))


def answer(status: Any = 200) -> Any:
    return {"status_code": status, "request_id": "", "body": {"text": "é\udc80"}}


def fill(path: Any, count: Any) -> None:
    with ResultFile(path, IDS) as results:
        for number in range(count):
            results.append(str(number), answer())


def test_rows_have_openais_form(tmp_path: Path) -> None:
    fill(tmp_path / "out.jsonl", 1)
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["id"].startswith("batch_req_")
    assert (row["custom_id"], row["response"], row["error"]) == ("0", answer(), None)


def test_a_file_cut_at_any_byte_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 4)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        with ResultFile(path, IDS) as results:
            kept = whole[:size].count(b"\n")
            assert results.done == {str(number) for number in range(kept)}
            results.append("9", answer())
        assert [json.loads(line)["custom_id"] for line in path.read_bytes().splitlines()][-1] == "9"
        assert path.read_bytes().count(b"\n") == kept + 1


def test_failed_rows_stay_unless_they_are_to_be_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ResultFile(path, IDS) as results:
        results.append("0", answer())
        results.append("1", answer(500))
    with ResultFile(path, IDS) as results:
        assert (results.done, results.failed) == ({"0", "1"}, 1)
    with ResultFile(path, IDS, retry_failed=True) as results:
        assert (results.done, results.failed) == ({"0"}, 0)
        results.append("1", answer())
        with pytest.raises(UsageError, match="another run"):
            ResultFile(path, IDS)
    assert [json.loads(line)["custom_id"] for line in path.read_text().splitlines()] == ["0", "1"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("line", ["{}", "[]", "text", '{"custom_id": "1", "response": null}'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UsageError, match=r"out\.jsonl:1: is not a result"):
        ResultFile(path, IDS)
    assert path.read_text() == f"{line}\n"


def test_results_of_another_batch_and_two_of_one_request_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 2)
    with pytest.raises(UsageError, match="is not in the input"):
        ResultFile(path, frozenset({"0"}))
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UsageError, match="stands twice"):
        ResultFile(path, IDS)


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        ResultFile(tmp_path, IDS)


def test_a_link_stays_one_and_permissions_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.touch(mode=0o600)
    link.symlink_to(target)
    with ResultFile(link, IDS) as results:
        results.append("0", answer(500))
    with ResultFile(link, IDS, retry_failed=True) as results:
        results.append("0", answer())
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert json.loads(target.read_text())["response"] == answer()


@contextlib.contextmanager
def full_after(size: Any) -> Iterator[Any]:
    """Let no file of this process grow beyond a size, as on a disk that is full."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("room", "told"), [(30, "the disk is full"), (0, "cannot be written: File too large")])
def test_a_full_disk_ends_the_run_and_no_row_is_half(tmp_path: Path, room: int, told: str) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 2)
    size = path.stat().st_size
    with ResultFile(path, IDS) as results:
        with full_after(size + room), pytest.raises(MachineError, match=told):
            results.append("2", answer(500))
        assert (results.done, results.failed) == ({"0", "1"}, 0)
    assert path.stat().st_size == size + room
    with ResultFile(path, IDS) as results:
        assert results.done == {"0", "1"}
        results.append("2", answer())
    assert [json.loads(line)["custom_id"] for line in path.read_text().splitlines()] == ["0", "1", "2"]


@pytest.mark.parametrize(("status", "failed"), [(199, 1), (200, 0), (299, 0), (300, 1), (404, 1)])
def test_a_row_has_failed_unless_its_status_is_2xx(tmp_path: Path, status: int, failed: int) -> None:
    with ResultFile(tmp_path / "out.jsonl", IDS) as results:
        results.append("0", answer(status))
        assert (results.failed, results.done) == (failed, {"0"})
    with ResultFile(tmp_path / "out.jsonl", IDS, retry_failed=True) as results:
        assert (results.failed, results.done) == (0, set() if failed else {"0"})


def test_a_half_line_longer_than_what_is_read_at_once_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 1)
    whole = path.read_bytes()
    for rest in (65_535, 65_536, 65_537, 200_000):
        path.write_bytes(whole + b"x" * rest)
        with ResultFile(path, IDS) as results:
            assert results.done == {"0"}
        assert path.read_bytes() == whole
    path.write_bytes(b"x" * 200_000)
    with ResultFile(path, IDS) as results:
        assert results.done == set()
    assert path.read_bytes() == b""


def test_an_answer_too_deep_to_be_written_is_a_failed_row(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with ResultFile(tmp_path / "out.jsonl", IDS) as results:
        results.append("0", {"status_code": 200, "request_id": "", "body": deep})
        assert results.failed == 1
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["custom_id"], row["response"]["status_code"]) == ("0", 502)
    while deep:
        deep = deep.pop("a")


def test_a_file_that_is_refused_is_not_kept_locked(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 2)
    for _ in range(2):
        with pytest.raises(UsageError, match="is not in the input"):
            ResultFile(path, frozenset({"0"}))
    with ResultFile(path, IDS), pytest.raises(UsageError, match="another run"):
        ResultFile(path, IDS)
    ResultFile(path, IDS).__exit__(None, None, None)


def test_no_file_stays_open_whatever_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, 2)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError, match="is not in the input"):
        ResultFile(path, frozenset({"0"}))
    with ResultFile(path, IDS, retry_failed=True), pytest.raises(UsageError, match="another run"):
        ResultFile(path, IDS)
    assert sorted(os.listdir("/proc/self/fd")) == before

"""Results survive a kill at any byte."""

from __future__ import annotations

import json

import pytest

from trtnemo.batch import ResultFile
from trtnemo.errors import UsageError

IDS = frozenset(str(number) for number in range(10))


def answer(status=200):
    return {"status_code": status, "request_id": "", "body": {"text": "é\udc80"}}


def fill(path, count):
    with ResultFile(path, IDS) as results:
        for number in range(count):
            results.append(str(number), answer())


def test_rows_have_openais_form(tmp_path):
    fill(tmp_path / "out.jsonl", 1)
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["id"].startswith("batch_req_")
    assert (row["custom_id"], row["response"], row["error"]) == ("0", answer(), None)


def test_a_file_cut_at_any_byte_goes_on_after_its_last_whole_line(tmp_path):
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


def test_failed_rows_stay_unless_they_are_to_be_sent_again(tmp_path):
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
def test_a_file_of_something_else_is_left_alone(tmp_path, line):
    path = tmp_path / "out.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UsageError, match=r"out\.jsonl:1: is not a result"):
        ResultFile(path, IDS)
    assert path.read_text() == f"{line}\n"


def test_results_of_another_batch_and_two_of_one_request_are_refused(tmp_path):
    path = tmp_path / "out.jsonl"
    fill(path, 2)
    with pytest.raises(UsageError, match="is not in the input"):
        ResultFile(path, frozenset({"0"}))
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UsageError, match="stands twice"):
        ResultFile(path, IDS)


def test_a_folder_is_no_output(tmp_path):
    with pytest.raises(UsageError, match="cannot be opened"):
        ResultFile(tmp_path, IDS)


def test_a_link_stays_one_and_permissions_stay(tmp_path):
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

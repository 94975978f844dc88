"""`trtnemo batch` against real servers, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted import scripted


def requests(path: Any, count: Any, **body: Any) -> Any:
    lines = [
        {
            "custom_id": f"request-{number}",
            "method": "POST",
            "url": "/v1/chat/completions" if number % 2 else "/v1/completions",
            "body": {
                "model": "tiny",
                "max_tokens": 16,
                "temperature": 0,
                **({"messages": [{"role": "user", "content": f"What is {number} plus 3?"}]} if number % 2 else {}),
                **({} if number % 2 else {"prompt": f"{number} and"}),
                **body,
            },
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(*arguments: Any, **options: Any) -> Any:
    command = [sys.executable, "-m", "trtnemo", "batch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def rows(path: Any) -> Any:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(path: Any) -> Any:
    found = {}
    for row in rows(path):
        choice = row["response"]["body"]["choices"][0]
        found[row["custom_id"]] = choice.get("text") or choice["message"]
    return found


@pytest.mark.parametrize(("count", "kills"), [(120, 3), pytest.param(900, 40, marks=pytest.mark.long)])
def test_a_run_that_is_killed_again_and_again_loses_and_doubles_no_row(
    tmp_path: Path, tiny_url: Any, count: Any, kills: Any
) -> None:
    source = requests(tmp_path / "in.jsonl", count)
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "trtnemo", "batch", str(source), str(output), "--url", tiny_url]
    for _ in range(kills):
        process = subprocess.Popen([*command, "--concurrency", "4"], stdout=subprocess.DEVNULL)
        known = len(rows(output)) if output.exists() else 0
        while process.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < known + 7):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 7 * kills - 1 < output.read_bytes().count(b"\n") < count
    done = run(source, output, "--url", tiny_url, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary) == {"requests", "resumed", "answered", "failed", "seconds"}
    assert (summary["requests"], summary["failed"]) == (count, 0)
    assert 7 * kills - 1 < summary["resumed"] < count
    assert sorted(row["custom_id"] for row in rows(output)) == sorted(f"request-{number}" for number in range(count))
    again = run(source, output, "--url", tiny_url, "--json")
    assert json.loads(again.stdout)["resumed"] == count
    whole = tmp_path / "whole.jsonl"
    assert run(source, whole, "--url", f"{tiny_url}/v1", "--concurrency", 1).returncode == 0
    assert texts(whole) == texts(output)


def test_an_engine_is_served_meanwhile(tmp_path: Path, tiny_engine: Any) -> None:
    source = requests(tmp_path / "in.jsonl", 4)
    done = run(source, tmp_path / "out.jsonl", "--engine", tiny_engine)
    assert done.returncode == 0, done.stderr
    assert "4 requests in" in done.stdout
    assert len(texts(tmp_path / "out.jsonl")) == 4


def test_a_refused_request_is_a_row_of_its_own_and_exit_code_1(tmp_path: Path, tiny_url: Any) -> None:
    source = requests(tmp_path / "in.jsonl", 4, temperature=-1)
    good = requests(tmp_path / "good.jsonl", 5).read_text().splitlines()[4]
    source.write_text(source.read_text() + good + "\n")
    done = run(source, tmp_path / "out.jsonl", "--url", tiny_url)
    assert done.returncode == 1
    assert "5 requests" in done.stdout
    assert "4 failed" in done.stdout
    statuses = {row["custom_id"]: row["response"]["status_code"] for row in rows(tmp_path / "out.jsonl")}
    assert statuses == {**{f"request-{number}": 400 for number in range(4)}, "request-4": 200}
    assert all(
        "error" in row["response"]["body"]
        for row in rows(tmp_path / "out.jsonl")[:4]
        if row["custom_id"] != "request-4"
    )


def test_a_server_that_is_restarted_meanwhile_loses_nothing(
    tmp_path: Path, tiny_engine: Any, server_process: Any
) -> None:
    first, url = server_process(tiny_engine)
    source, output = requests(tmp_path / "in.jsonl", 60), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "trtnemo", "batch", str(source), str(output), "--url", url, "--concurrency", "4"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < 5):
        time.sleep(0.005)
    first.kill()
    first.wait()
    server_process(tiny_engine, "--port", url.rpartition(":")[2])
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert len(texts(output)) == 60


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["--url", "http://127.0.0.1:9"], "no server answers", 7),
        ([], "give one of --url, --recipe and --engine", 2),
        (["--url", "http://127.0.0.1:9", "--set", "a=1"], "--set changes a recipe", 2),
        (["--recipe", "nothing"], "no recipe", 3),
    ],
)
def test_what_cannot_run_is_told_in_a_line(tmp_path: Path, arguments: list[Any], told: str, code: int) -> None:
    done = run(requests(tmp_path / "in.jsonl", 1), tmp_path / "out.jsonl", *arguments)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_model_that_is_not_served_is_told_before_anything_is_sent(tmp_path: Path, tiny_url: Any) -> None:
    source = requests(tmp_path / "in.jsonl", 2, model="gpt-4")
    refused = run(source, tmp_path / "out.jsonl", "--url", tiny_url)
    assert refused.returncode == 2
    assert "name 'gpt-4'; the server serves tiny" in refused.stderr
    assert run(source, tmp_path / "out.jsonl", "--url", tiny_url, "--model", "tiny").returncode == 0


def test_a_server_that_stays_away_ends_the_run_and_keeps_the_rows(
    tmp_path: Path, tiny_engine: Any, server_process: Any
) -> None:
    server, url = server_process(tiny_engine)
    source, output = requests(tmp_path / "in.jsonl", 200), tmp_path / "out.jsonl"
    options = ["--url", url, "--concurrency", "2", "--patience", "1"]
    command = [sys.executable, "-m", "trtnemo", "batch", str(source), str(output), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < 5):
        time.sleep(0.005)
    server.kill()
    server.wait()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "Results so far are kept" in told
    assert 5 <= len(rows(output)) < 200


@pytest.mark.parametrize(
    "answer",
    [
        {"body": b""},
        {"body": b"[1, 2]"},
        {"body": b'{"choices": NaN}'},
        {"body": b"<html>"},
        {"body": b'{"a":' * 20000 + b"1" + b"}" * 20000},
        {"body": b'{"a":' * 980 + b"1" + b"}" * 980},
        {"body": b"no gzip", "headers_sent": {"Content-Encoding": "gzip"}},
    ],
)
def test_an_answer_that_is_no_json_object_is_a_failed_row(tmp_path: Path, answer: Any) -> None:
    with scripted(**answer) as url:
        done = run(requests(tmp_path / "in.jsonl", 2), tmp_path / "out.jsonl", "--url", url)
    assert done.returncode == 1, done.stderr
    assert "2 failed" in done.stdout
    assert [row["response"]["status_code"] for row in rows(tmp_path / "out.jsonl")] == [502, 502]


def test_a_server_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    with scripted(status=429, body=b"{}") as url:
        done = run(requests(tmp_path / "in.jsonl", 2), tmp_path / "out.jsonl", "--url", url, "--patience", "1")
    assert done.returncode == 7
    assert "nothing but 429 for 1 s: too many requests" in done.stderr


def test_a_pipe_is_no_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run(tmp_path / "pipe", tmp_path / "out.jsonl", "--url", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "is not a regular file, and is read twice" in done.stderr


def test_a_server_that_accepts_and_is_silent_gets_failed_rows_that_can_be_sent_again(
    tmp_path: Path, tiny_url: Any
) -> None:
    over, source, output = threading.Event(), requests(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    with scripted(do_POST=lambda _: over.wait(60)) as url:
        done = run(source, output, "--url", url, "--timeout", "0.5")
        over.set()
    assert done.returncode == 1, done.stderr
    assert {row["response"]["status_code"] for row in rows(output)} == {504}
    assert "no byte of an answer" in rows(output)[0]["response"]["body"]["error"]["message"]
    assert run(source, output, "--url", tiny_url, "--retry-failed").returncode == 0
    assert len(rows(output)) == 3

"""A child under supervision: when it counts as serving, and how it ends, with a server of this process as its voice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.commands import interruptible
from tests.support.processes import is_alive
from tests.support.scripted import scripted
from trtnemo.errors import ServerError
from trtnemo.launch.bundle import supervise
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.bundle.supervise import ServerDiedError, SupervisedServer

WORD = b'{"choices": [{"text": " world"}]}'


def healthy(handler: Any) -> None:
    handler._answer(200 if handler.path == "/health" else 404, b"", {})


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Return a function that supervises a shell's commands; `told` and `log` of what it gives are its output."""
    monkeypatch.setattr(supervise, "POLL_SECONDS", 0.01)
    running: list[Any] = []

    def make(script: Any = "exec sleep 60", **more: Any) -> Any:
        told: list[str] = []
        log: list[Any] = []
        output = Output(told.append, log.append)
        words = more.pop("words", ["sh", "-c", script])
        with interruptible():
            server: Any = SupervisedServer(words, {**os.environ, **more}, str(tmp_path), output, LogReader())
        server.told, server.log = told, log
        running.append(server)
        return server

    yield make
    for server in running:
        server.stop()
        server._process.stdout.close()


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_server_is_ready_when_it_is_healthy_and_has_given_a_token(start: Any) -> None:
    asked = []

    def answer(handler: Any) -> None:
        asked.append((handler.path, json.loads(handler.rfile.read(int(handler.headers["content-length"])))))
        handler._answer(200, WORD, {})

    server = start()
    with scripted(do_GET=healthy, do_POST=answer) as url:
        server.wait_until_ready(url, "my-model", 20)
    body = {"model": "my-model", "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    assert asked == [("/v1/completions", body)]
    assert [line.partition("] ")[2] for line in server.told] == ["healthy", "first token"]
    assert server._process.poll() is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"body": b'{"choices": [{"text": ""}]}'}, "an empty text"),
        ({"body": b'{"choices": [{"text": null}]}'}, "an empty text"),
        ({"body": b'{"choices": [{"text": 3}]}'}, "an empty text"),
        ({"body": b'{"choices": []}'}, 'an answer without choices: {"choices": []}'),
        ({"body": b'{"choices": null}'}, "an answer without choices"),
        ({"body": b"[]"}, "an answer without choices"),
        ({"body": b"<html>"}, "an answer without choices: <html>"),
        ({"status": 500, "body": b"x" * 300}, "status 500: " + "x" * 200),
        ({"status": 201, "body": WORD}, "status 201"),
        ({"do_POST": lambda handler: None}, "RemoteProtocolError Server disconnected"),
    ],
)
def test_a_server_without_a_first_token_is_not_serving_and_is_ended(start: Any, answer: Any, told: Any) -> None:
    server = start()
    with scripted(do_GET=healthy, **answer) as url, pytest.raises(ServerDiedError) as caught:
        server.wait_until_ready(url, "m", 20)
    assert caught.value.what.startswith(f"is healthy but does not generate a token: {told}")
    assert "x" * 201 not in caught.value.what
    assert server._process.poll() == -signal.SIGTERM


@pytest.mark.parametrize("status", [404, 500, 503, 204])
def test_only_200_is_health(start: Any, status: int) -> None:
    def get(handler: Any) -> None:
        handler._answer(status, b"", {})

    server = start("echo Loading weights: 10 shards; exec sleep 60")
    wait_until(lambda: server.log)
    with (
        scripted(do_GET=get, body=WORD) as url,
        pytest.raises(ServerDiedError, match=r"is not healthy after 0 s \(last stage: loading weights\)"),
    ):
        server.wait_until_ready(url, "m", 0.3)
    assert server._process.poll() is not None


def test_health_is_asked_again_and_where_the_server_has_it(start: Any) -> None:
    asked = []

    def get(handler: Any) -> None:
        asked.append(handler.path)
        handler._answer(200 if len(asked) > 2 else 503, b"", {})

    with scripted(do_GET=get, body=WORD) as url:
        start().wait_until_ready(url, "m", 20, "/ping")
    assert asked == ["/ping"] * 3


@pytest.mark.parametrize(("timeout", "least", "most"), [(0.5, 5, 5), (100, 90, 100)])
def test_a_first_token_has_what_is_left_of_the_time_and_five_seconds_at_least(
    start: Any, monkeypatch: pytest.MonkeyPatch, timeout: float, least: int, most: int
) -> None:
    given = []
    monkeypatch.setattr(supervise, "_one_token", lambda url, model, seconds, headers: given.append(seconds))
    with scripted(do_GET=healthy) as url:
        start().wait_until_ready(url, "m", timeout)
    assert least <= given[0] <= most


@pytest.mark.parametrize("code", [0, 3])
def test_a_server_that_ends_while_it_starts_is_told_with_its_last_lines(start: Any, code: int) -> None:
    server = start(f"echo first; echo second >&2; exit {code}")
    with pytest.raises(ServerDiedError, match=f"ended during start with exit code {code}") as caught:
        server.wait_until_ready("http://127.0.0.1:9", "m", 20)
    assert (caught.value.log, caught.value.issue) == ("  | first\n  | second", None)


def test_a_stop_while_it_starts_is_told_as_one(start: Any) -> None:
    server = start()
    server.ask_to_stop()
    with pytest.raises(ServerError, match="was stopped before it was ready"):
        server.wait_until_ready("http://127.0.0.1:9", "m", 20)


def test_the_servers_children_end_with_it(start: Any) -> None:
    server = start("sleep 60 & echo $!; wait")
    wait_until(lambda: server.log)
    server.stop()
    wait_until(lambda: not is_alive(int(server.log[0])))


def test_what_its_first_process_left_behind_ends_too(start: Any) -> None:
    server = start("sleep 60 & echo $!; exit 0")
    wait_until(lambda: server.log and server.over.is_set())
    assert is_alive(int(server.log[0]))
    server.stop()
    wait_until(lambda: not is_alive(int(server.log[0])))


def test_a_container_is_killed_by_its_name(start: Any, tmp_path: Path) -> None:
    server = start()
    server._kill_words = ["touch", str(tmp_path / "killed")]
    server.kill()
    assert server.over.wait(20)
    assert (tmp_path / "killed").exists()


DEAF = "trap '' TERM INT; echo deaf; while :; do sleep 0.05; done"


@pytest.mark.parametrize("how", ["stop", "ask"])
def test_a_deaf_server_is_ended_by_force(start: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.2)
    server = start(DEAF)
    wait_until(lambda: server.log)
    if how == "stop":
        server.stop()
    else:
        server.ask_to_stop()
        assert server.over.wait(20)
    assert server._process.returncode == -signal.SIGKILL


def test_a_deaf_server_that_is_lost_is_not_waited_for(start: Any) -> None:
    server = start(DEAF)
    wait_until(lambda: server.log)
    began = time.monotonic()
    server.stop(0.1)
    assert server._process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < supervise.STOP_SECONDS / 3


def test_a_server_is_given_time_to_end(start: Any) -> None:
    server = start("trap 'sleep 0.3; exit 6' TERM; echo up; while :; do sleep 0.05; done")
    wait_until(lambda: server.log)
    server.stop()
    server.stop()
    assert server._process.returncode == 6
    assert supervise.STOP_SECONDS == 60


def test_what_cannot_be_started_is_told(start: Any, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no-such-program: cannot be started: No such file or directory"):
        start(words=["no-such-program", "a"])


def test_a_child_has_the_given_place_variables_and_no_input(start: Any, tmp_path: Path) -> None:
    server = start('pwd; echo "$COLOUR"; cat; printf "\\377 end\\n"; exit 0', COLOUR="green")
    server._process.wait()
    server._pump.join(10)
    assert server.log == [str(tmp_path), "green", "\ufffd end"]
    assert os.getsid(os.getpid()) != server._process.pid


def test_stages_are_reported_with_seconds_since_the_start(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start("read line; echo")
    server._process.wait()
    monkeypatch.setattr(supervise, "time", SimpleNamespace(monotonic=lambda: server._started + 12.34))
    assert server._stamped("loading weights") == "[   12.3 s] loading weights"

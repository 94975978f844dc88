"""One request until its answer is final: what is tried again, how long is waited, and when the run is given up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from trtnemo.batch import send as send_module
from trtnemo.batch.lines import BatchLine
from trtnemo.batch.send import Sender, failure
from trtnemo.errors import ServerError

LINE = BatchLine(custom_id="1", method="POST", url="/v1/completions", body={"prompt": "x", "model": "a"})
OK: tuple[int, dict[str, Any]] = (200, {"choices": []})


class Server:
    """Answers what the script says, its last line again and again; sleeping lets the clock go on."""

    def __init__(self, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script, self.now = list(script), 5000.0
        self.seen: list[Any] = []
        self.slept: list[float] = []
        monkeypatch.setattr(send_module, "asyncio", SimpleNamespace(sleep=self.sleep))
        monkeypatch.setattr(send_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(send_module, "random", SimpleNamespace(uniform=lambda low, high: high))

    async def sleep(self, seconds: Any) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def answer(self, request: Any) -> Any:
        self.seen.append(request)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        status, body, *headers = step
        content = {"json": body} if isinstance(body, dict | list) else {"content": body}
        return httpx.Response(status, headers=headers[0] if headers else {}, **content)

    def run(self, lines: Any = (LINE,), model: Any = None, patience: Any = 120.0) -> Any:
        async def work() -> Any:
            transport = httpx.MockTransport(self.answer)
            async with httpx.AsyncClient(transport=transport, base_url="http://s", timeout=9) as client:
                sender = Sender(client, model, patience)
                return [await sender.send(line) for line in lines]

        return asyncio.run(work())


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda *script: Server(script, monkeypatch)


def test_429_never_fails_a_row(serve: Any) -> None:
    server = serve(*[(429, {})] * 9, OK)
    assert [row["status_code"] for row in server.run()] == [200]
    assert len(server.seen) == 10


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_an_answer_that_may_change_is_tried_six_times(serve: Any, status: int) -> None:
    server = serve(*[(status, {"error": {}})] * 5, OK)
    assert server.run()[0]["status_code"] == 200
    server = serve((status, {"error": {}}))
    assert server.run()[0] == {"status_code": status, "request_id": "", "body": {"error": {}}}
    assert (len(server.seen), len(server.slept)) == (6, 5)


def test_429_between_is_no_try(serve: Any) -> None:
    server = serve(*[(500, {}), (429, {})] * 5, OK)
    assert server.run()[0]["status_code"] == 200


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 413, 422, 501, 505])
def test_any_other_answer_is_final(serve: Any, status: int) -> None:
    server = serve((status, {"a": 1}, {"x-request-id": "r1"}))
    assert server.run() == [{"status_code": status, "request_id": "r1", "body": {"a": 1}}]
    assert (len(server.seen), server.slept) == (1, [])


def test_pauses_double_up_to_20_seconds(serve: Any) -> None:
    server = serve(*[(429, {})] * 9, OK)
    server.run()
    assert server.slept == [0.25, 0.5, 1, 2, 4, 8, 16, 20, 20]
    silent = serve(*[httpx.ConnectError("no")] * 4, OK)
    silent.run()
    assert silent.slept == [0.25, 0.5, 1, 2]


@pytest.mark.parametrize(
    ("given", "waited"),
    [
        ("7", 7),
        ("3.5", 3.5),
        ("0", 0.25),
        ("0.1", 0.25),
        ("-3", 0.25),
        ("600", 20),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(serve: Any, status: int, given: str, waited: float) -> None:
    server = serve((status, {}, {"retry-after": given}), OK)
    assert server.run()[0]["status_code"] == 200
    assert server.slept == [waited]


def test_a_server_that_is_away_is_waited_for_as_long_as_patience_lasts(serve: Any) -> None:
    server = serve(httpx.ConnectError("refused"))
    with pytest.raises(ServerError, match=r"no answer for 10 s: refused.*Results so far are kept"):
        server.run(patience=10)
    assert server.slept == [0.25, 0.5, 1, 2, 4, 8]  # 7.75 s is not too long, 15.75 s is


def test_patience_ends_when_it_is_exceeded_and_not_before(serve: Any) -> None:
    server = serve(*[httpx.ConnectError("refused")] * 6, OK)
    assert server.run(patience=7.75)[0]["status_code"] == 200
    server = serve(*[httpx.ConnectError("refused")] * 6, OK)
    with pytest.raises(ServerError):
        server.run(patience=7.7)


def test_patience_begins_anew_after_an_answer(serve: Any) -> None:
    """Of 429 too: a server that says so is there."""
    away = [httpx.ConnectError("refused")] * 3
    server = serve(*away, (500, {}), *away, (500, {}), *away, OK)
    assert server.run(patience=40)[0]["status_code"] == 200
    assert sum(server.slept) > 40


def test_nothing_but_429_is_borne_for_as_long_as_patience_lasts(serve: Any) -> None:
    server = serve((429, {}))
    with pytest.raises(ServerError, match="nothing but 429 for 10 s: too many requests"):
        server.run(patience=10)
    assert sum(server.slept) == 15.75
    away = serve((429, {}), httpx.ConnectError("no"), (429, {}), OK)
    assert away.run(patience=10)[0]["status_code"] == 200


def test_an_answer_of_any_request_renews_the_patience_of_all(serve: Any) -> None:
    busy: list[tuple[int, dict[str, Any]]] = [(429, {})] * 5
    server = serve(*busy, OK, *busy, OK, *busy, OK)
    assert [row["status_code"] for row in server.run([LINE] * 3, patience=10)] == [200] * 3
    assert sum(server.slept) == 3 * 7.75


@pytest.mark.parametrize(
    ("error", "status", "kind", "told"),
    [
        (httpx.ReadTimeout("slow"), 504, "timeout", "no byte of an answer for 9 s"),
        (httpx.WriteTimeout("slow"), 504, "timeout", "no byte of an answer for 9 s"),
        (httpx.DecodingError("bad gzip"), 502, "invalid_response", "cannot be decoded: bad gzip"),
    ],
)
def test_a_server_that_hangs_or_sends_nonsense_is_not_asked_again(
    serve: Any, error: Any, status: int, kind: str, told: str
) -> None:
    server = serve(error)
    (row,) = server.run()
    assert (row["status_code"], row["body"]["error"]["type"]) == (status, kind)
    assert told in row["body"]["error"]["message"]
    assert len(server.seen) == 1


@pytest.mark.parametrize("error", [httpx.ConnectTimeout("slow"), httpx.ReadError("cut"), httpx.RemoteProtocolError("")])
def test_a_connection_that_breaks_is_tried_again(serve: Any, error: Any) -> None:
    assert serve(error, OK).run()[0]["status_code"] == 200


@pytest.mark.parametrize(("model", "sent"), [(None, "a"), ("b", "b")])
def test_the_lines_own_model_is_sent_unless_another_is_named(serve: Any, model: str | None, sent: str) -> None:
    server = serve(OK)
    server.run(model=model)
    request = server.seen[0]
    assert request.url.path == "/v1/completions"
    assert httpx.Response(200, content=request.content).json() == {"prompt": "x", "model": sent}
    assert LINE.body["model"] == "a"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"a": NaN}', b'{"a": Infinity}', b"null", b"\xff"])
@pytest.mark.parametrize(("status", "expected"), [(200, 502), (299, 502), (400, 400), (404, 404)])
def test_what_is_no_json_object_is_a_failure_with_its_beginning(
    serve: Any, status: int, expected: int, body: Any
) -> None:
    (row,) = serve((status, body, {"x-request-id": "r2"})).run()
    assert (row["status_code"], row["request_id"]) == (expected, "r2")
    assert row["body"]["error"]["type"] == "invalid_response"
    assert row["body"]["error"]["message"].startswith("no JSON object: ")


def test_a_long_page_is_cut() -> None:
    row = send_module._row(httpx.Response(502, content=b"x" * 5000))
    assert row["body"]["error"]["message"] == "no JSON object: " + "x" * 2000
    assert failure(504, "k", "m") == {
        "status_code": 504,
        "request_id": "",
        "body": {"error": {"message": "m", "type": "k"}},
    }

"""The gate before every route: who gets through, what is told to the others, and what is written down."""

from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from trtnemo.front.access.keys import KeyFile
from trtnemo.front.access.limits import KeyLimits
from trtnemo.front.access_log import AccessLog
from trtnemo.front.gate import Gate, GateRules
from trtnemo.front.meter import count_tokens, hold, let_go_of_body

PATHS = ("/health", "/ready", "/metrics", "/v1/models", "/page/a.js", "/v1/x")


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    count_tokens(len(body))
    return JSONResponse({"length": len(body), "id": request.scope["state"]["request_id"]})


APP = Starlette(routes=[Route(path, echo, methods=["GET", "POST"]) for path in PATHS])


def client(rules: GateRules, log: AccessLog | None = None, warned: list[str] | None = None) -> httpx.AsyncClient:
    gate = Gate(APP, rules, log or AccessLog("off"), (warned if warned is not None else []).append)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://here.test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    path = tmp_path / "keys"
    path.write_text("alice: key-of-alice\nmetrics: key-of-metrics\n")
    path.chmod(0o600)
    return KeyFile(path)


async def status(asker: httpx.AsyncClient, path: str, key: str | None = None, **more: Any) -> int:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return (await asker.get(path, headers=headers, **more)).status_code


async def test_every_route_but_those_of_health_and_page_needs_a_key(keys: KeyFile) -> None:
    async with client(GateRules(keys=keys, open_prefix="/page/")) as asker:
        for path in PATHS:
            is_open = path in ("/health", "/ready", "/page/a.js")
            assert await status(asker, path) == (200 if is_open else 401)
            assert await status(asker, path, "wrong-key") == (200 if is_open else 401)
            assert await status(asker, path, "key-of-alice") == 200
        for path in ("/v1/models", "/no/such", "/page", "/healthy", "/health/", "//health", "/page/../v1/x"):
            assert await status(asker, path) == 401
        refused = await asker.get("/v1/x")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.json()["error"]["type"] == "authentication_error"


async def test_a_key_for_metrics_opens_nothing_else(keys: KeyFile) -> None:
    async with client(GateRules(keys=keys)) as asker:
        assert await status(asker, "/metrics", "key-of-metrics") == 200
        assert await status(asker, "/v1/models", "key-of-metrics") == 401
    async with client(GateRules(keys=keys, metrics_open=True)) as asker:
        assert await status(asker, "/metrics") == 200
        assert await status(asker, "/v1/models") == 401


async def test_a_key_file_that_breaks_is_told_once_it_is_noticed(keys: KeyFile) -> None:
    warned: list[str] = []
    keys._path.write_text("broken")
    async with client(GateRules(keys=keys), warned=warned) as asker:
        assert await status(asker, "/v1/models", "key-of-alice") == 200
        assert await status(asker, "/v1/models", "key-of-alice") == 200
    assert len(warned) == 1
    assert "The keys read before stay in force" in warned[0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
async def test_a_body_is_json_and_says_so(kind: str, expected: int) -> None:
    async with client(GateRules()) as asker:
        found = await asker.post("/v1/x", content=b"{}", headers={"content-type": kind})
        assert found.status_code == expected


async def test_a_page_of_another_origin_cannot_leave_the_type_out() -> None:
    async with client(GateRules()) as asker:
        assert (await asker.post("/v1/x", content=b"{}")).status_code == 200
        page = await asker.post("/v1/x", content=b"{}", headers={"origin": "https://evil.test"})
        assert page.status_code == 415


async def test_a_body_beyond_the_limit_is_413_announced_or_not() -> None:
    async def pieces() -> Any:
        for _ in range(5):
            yield b"x" * 10

    async with client(GateRules(largest_body=40)) as asker:
        for content in (b"x" * 41, pieces()):
            found = await asker.post("/v1/x", content=content)
            assert found.status_code == 413
            assert "the body exceeds 40 bytes" in found.text
            assert found.headers["connection"] == "close"
        assert (await asker.post("/v1/x", content=b"x" * 40)).json()["length"] == 40


async def test_all_bodies_together_are_bounded_until_they_are_read() -> None:
    may_end, is_read = asyncio.Event(), False

    async def slow(request: Request) -> JSONResponse:
        await request.body()
        if is_read:
            let_go_of_body()
        if request.headers.get("x-slow"):
            await may_end.wait()
        return JSONResponse({})

    gate = Gate(Starlette(routes=[Route("/", slow, methods=["POST"])]), GateRules(all_bodies=50), AccessLog("off"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://here.test") as asker:
        for is_read, expected in ((False, 503), (True, 200)):  # noqa: B007 - `slow` looks at it
            may_end.clear()
            first = asyncio.ensure_future(asker.post("/", content=b"x" * 30, headers={"x-slow": "1"}))
            await asyncio.sleep(0.05)
            second = await asker.post("/", content=b"x" * 30)
            assert second.status_code == expected
            assert expected == 200 or second.headers["retry-after"] == "1"
            assert (await asker.post("/", content=b"x" * 20)).status_code == 200
            may_end.set()
            assert (await first).status_code == 200
        assert (await asker.post("/", content=b"x" * 50)).status_code == 200  # nothing of the others is left


async def test_a_pipe_that_nobody_reads_holds_up_nobody() -> None:
    reader, writer = os.pipe()
    stream = open(writer, "w")  # noqa: SIM115 - closed when its thread has let go of it
    log = AccessLog("json", stream)
    async with client(GateRules(), log) as asker:
        for _ in range(800):  # a pipe holds 64 KiB, and a line has 200 bytes
            assert await status(asker, "/health") == 200
    threading.Thread(target=lambda: list(iter(lambda: os.read(reader, 1 << 16), b"")), daemon=True).start()
    log.close(10)
    stream.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8123", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8123", 200),
        ("10.0.0.7", 200),
        ("evil.example", 400),
        ("localhost.evil.example:8123", 400),
        ("", 400),
    ],
)
async def test_a_server_of_this_machine_alone_has_no_name_of_elsewhere(host: str, expected: int) -> None:
    async with client(GateRules(is_local=True)) as asker:
        assert (await asker.get("/health", headers={"host": host})).status_code == expected


async def test_trusted_hosts_are_compared_as_hosts_are() -> None:
    async with client(GateRules(trusted_hosts=("Here.Test", "[::1]"), is_local=True)) as asker:
        for host in ("here.test", "HERE.test:80", "[::1]:80"):
            assert (await asker.get("/health", headers={"host": host})).status_code == 200
        assert (await asker.get("/health", headers={"host": "127.0.0.1"})).status_code == 400


async def test_refusals_are_counted_and_told_in_both_shapes(keys: KeyFile) -> None:
    counted: list[int] = []
    gate = Gate(APP, GateRules(keys=keys), AccessLog("off"), count=counted.append)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://x") as asker:
        refused = (await asker.get("/v1/models")).json()
    assert counted == [401]
    assert refused["type"] == "error"
    assert refused["error"]["type"] == "authentication_error"


async def test_a_request_that_works_on_in_the_background_is_charged_when_it_is_over() -> None:
    held: list[Any] = []

    async def begin(request: Request) -> JSONResponse:
        held.append(hold())
        return JSONResponse({})

    app = Starlette(routes=[Route("/v1/x", begin, methods=["POST"])])
    gate = Gate(app, GateRules(limits=KeyLimits(concurrency=1)), AccessLog("off"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://x") as asker:
        assert (await asker.post("/v1/x", content=b"{}")).status_code == 200
        assert (await asker.post("/v1/x", content=b"{}")).status_code == 429
        held[0]()
        assert (await asker.post("/v1/x", content=b"{}")).status_code == 200


async def test_a_host_that_is_not_trusted_is_refused() -> None:
    async with client(GateRules(trusted_hosts=("here.test",))) as asker:
        assert await status(asker, "/health") == 200
        assert (await asker.get("/health", headers={"host": "here.test:8123"})).status_code == 200
        for host in ("evil.test", "evil.test:8123", "[::1]:8123", ""):
            assert (await asker.get("/health", headers={"host": host})).status_code == 400


async def test_limits_count_what_each_key_took() -> None:
    rules = GateRules(limits=KeyLimits(tokens_per_minute=60))
    async with client(rules) as asker:
        assert (await asker.post("/v1/x", content=b"x" * 90)).status_code == 200
        refused = await asker.post("/v1/x", content=b"x")
        assert refused.status_code == 429
        assert 29 <= int(refused.headers["retry-after"]) <= 32
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert await status(asker, "/v1/models") == 200  # asking for a list takes nothing


async def test_every_answer_has_a_request_id_that_the_log_knows() -> None:
    stream = io.StringIO()
    log = AccessLog("json", stream)
    async with client(GateRules(), log) as asker:
        given = await asker.post("/v1/x", content=b"secret text", headers={"x-request-id": "my-id.7"})
        made = await asker.get("/v1/models?api_key=secret")
        forged = await asker.get("/v1/models", headers={"x-request-id": "a\tb"})
    log.close()
    assert given.headers["x-request-id"] == given.json()["id"] == "my-id.7"
    assert made.headers["x-request-id"].startswith("req_")
    assert forged.headers["x-request-id"].startswith("req_")
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["request_id"] for record in records] == [
        answer.headers["x-request-id"] for answer in (given, made, forged)
    ]
    assert records[0]["received_bytes"] == len(b"secret text")
    assert {record["status"] for record in records} == {200}
    assert "secret" not in stream.getvalue()


async def test_the_log_in_words_is_one_line_whatever_the_path() -> None:
    stream = io.StringIO()
    log = AccessLog("text", stream)
    async with client(GateRules(), log) as asker:
        await asker.get("/v1/%0a%1b[31mred")
    log.close()
    (line,) = stream.getvalue().splitlines()
    assert " GET " in line
    assert "\x1b" not in line
    assert " 404 " in line

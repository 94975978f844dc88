"""Connections that keep a server waiting, and bytes that are no HTTP: over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from trtnemo.front.http.protocol import LARGEST_HEAD, bounded
from trtnemo.front.listen import bind


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])


@contextmanager
def serving(**bounds: Any) -> Iterator[int]:
    chosen = {"max_connections": 50, "header_seconds": 5.0, "body_seconds": 5.0, **bounds}
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    with bind("127.0.0.1", 0) as listener:
        server = Server(uvicorn.Config(APP, http=bounded(**chosen), ws="none", log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert ready.wait(30)
        port = listener.getsockname()[1]
        yield port
        server.should_exit = True
        thread.join(10)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def told(connection: socket.socket) -> tuple[int, str]:
    """Return the status and message of what a connection is told before it is closed."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)["error"]["message"]) if data else (0, "")


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "head did not arrive in time"),
        (b"GET / HT", "head did not arrive in time"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "head did not arrive in time"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "body did not arrive in time"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "body did not arrive in time"),
    ],
)
def test_what_does_not_arrive_in_time_is_told_and_closed(sent: bytes, message: str) -> None:
    with serving(header_seconds=0.3, body_seconds=0.3) as port, connect(port) as connection:
        connection.sendall(sent)
        status, found = told(connection)
        assert status == 408
        assert message in found
        with connect(port) as other:
            other.sendall(GET)
            assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_a_head_that_drips_does_not_renew_its_time() -> None:
    with serving(header_seconds=0.5) as port, connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            drip(connection)


def drip(connection: socket.socket) -> None:
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        connection.sendall(b"E")
        time.sleep(0.05)


def test_connections_above_the_number_are_refused_and_come_through_later() -> None:
    with serving(max_connections=3) as port:
        held = [connect(port) for _ in range(3)]
        time.sleep(0.2)
        with connect(port) as fourth:
            status, message = told(fourth)
            assert (status, message) == (503, "too many connections; try again later")
        held.pop().close()
        time.sleep(0.2)
        with connect(port) as fifth:
            fifth.sendall(GET)
            assert fifth.recv(100).startswith(b"HTTP/1.1 200")
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"y" * 3 * LARGEST_HEAD, 431),
    ],
)
def test_what_is_no_request_is_refused_in_json_and_closed(sent: bytes, status: int) -> None:
    with serving() as port, connect(port) as connection:
        with suppress(OSError):  # it may be told before all is sent
            for start in range(0, len(sent), 30_000):
                connection.sendall(sent[start : start + 30_000])
                time.sleep(0.05)
        assert told(connection)[0] == status


@pytest.mark.parametrize(("length", "status"), [(60_000, 200), (70_000, 431), (130_000, 431)])
def test_a_head_has_its_bound_however_it_is_cut(length: int, status: int) -> None:
    sent = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * length + b"\r\n\r\n"
    for size in (len(sent), 1000):
        with serving() as port, connect(port) as connection:
            with suppress(OSError):
                for start in range(0, len(sent), size):
                    connection.sendall(sent[start : start + size])
            assert connection.recv(1000).startswith(b"HTTP/1.1 %d" % status)


def test_requests_come_in_any_pieces_and_one_after_the_other() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    with serving() as port, connect(port) as connection:
        for byte in post:
            connection.sendall(bytes([byte]))
        assert connection.recv(1000).endswith(b"\r\n\r\n3")
        connection.sendall(post + GET + post)
        data = b""
        while data.count(b"HTTP/1.1 200") < 3 or not data.endswith(b"3"):
            data += connection.recv(1000)
        assert [part[-1:] for part in data.split(b"HTTP/1.1 200")[1:]] == [b"3", b"0", b"3"]


def test_an_upgrade_is_answered_as_a_request(caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with serving() as port, connect(port) as connection:
        connection.sendall(upgrade)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert not caplog.records

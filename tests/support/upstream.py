"""A server behind a gateway, which answers what a test says."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.scripted import scripted

Gateway = Callable[..., tuple[subprocess.Popen[str], str]]
CHAT = {"messages": [{"role": "user", "content": "What is the capital of Japan?"}], "temperature": 0, "max_tokens": 8}
MODELS = b'{"data": [{"id": "m", "owned_by": "%b"}]}'
METRICS = ("/metrics", "/prometheus/metrics")
TOKEN = b'{"choices": [{"message": {"content": "yes"}}]}'


def ready(url: str) -> bool:
    return httpx.get(f"{url}/ready").status_code == 200


class Upstream:
    """A server that is well, and answers what a test says; it keeps what it was sent."""

    def __init__(self, **more: Any) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.health = 200
        self.owner = self.version = ""
        self.pages: dict[str, bytes] = {}
        self.read: list[str] = []
        self.token: Any = TOKEN
        self.answer: Any = lambda handler, body: handler._answer(200, b'{"choices": [1]}', {"X-Odd": "kept"})
        vars(self).update(more)

    def get(self, handler: Any) -> None:
        if handler.path in METRICS:
            self.read.append(handler.path)
            handler._answer(200 if handler.path in self.pages else 404, self.pages.get(handler.path, b""), {})
            return
        known = {"/version": b'{"version": "%b"}' % self.version.encode()} if self.version else {}
        answer = known.get(handler.path, MODELS % self.owner.encode())
        handler._answer(self.health if handler.path == "/health" else 200, answer, {})

    def post(self, handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if b"Say yes." in body:
            handler._answer(200 if self.token else 500, self.token or b"", {})
            return
        self.asked.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}, body))
        self.answer(handler, body)

    @property
    def serving(self) -> Any:
        return scripted(
            do_GET=lambda handler: self.get(handler),
            do_POST=lambda handler: self.post(handler),
            protocol_version="HTTP/1.1",
        )


def streaming(*pieces: bytes, ends: bool = True) -> Any:
    def answer(handler: Any, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            handler.wfile.flush()
            time.sleep(0.05)
        if ends:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return answer

"""A chat endpoint that answers as a test tells it to, well or badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
# what is done with a request whose body was read
Reply = Callable[[BaseHTTPRequestHandler, Body], None]


@dataclass
class ChatServer:
    """A server on a port of its own: the replies that are left, and the bodies that came."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def said(self, turn: int = -1) -> list[tuple[str, str]]:
        """Return (role, content) of the messages of a request."""
        return [(message["role"], message["content"]) for message in self.asked[turn]["messages"]]


def delta(text: str = "", **more: Any) -> Body:
    """Return a chunk with some text."""
    return {"choices": [{"index": 0, "delta": {"content": text, **more}}]}


END: Body = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def begin(handler: BaseHTTPRequestHandler, kind: str = "text/event-stream") -> None:
    """Send the head of a stream."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, *events: Body) -> None:
    """Send events of a stream."""
    for event in events:
        handler.wfile.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())


def says(*events: str | Body, end: Body = END) -> Reply:
    """Answer with a whole stream of these chunks."""

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        begin(handler)
        send(handler, *(delta(event) if isinstance(event, str) else event for event in events), end)
        handler.wfile.write(b"data: [DONE]\n\n")

    return reply


def breaks_off(*events: Body | str) -> Reply:
    """Begin a stream and end it in the middle."""

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        begin(handler)
        send(handler, *(delta(event) if isinstance(event, str) else event for event in events))

    return reply


def writes(data: bytes, kind: str = "text/event-stream") -> Reply:
    """Answer with these very bytes."""

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        begin(handler, kind)
        handler.wfile.write(data)

    return reply


def refuses(status: int, message: str) -> Reply:
    """Refuse, as OpenAI's API does."""

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        data = json.dumps({"error": {"message": message}}).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def goes_on(text: str, until: threading.Event) -> Reply:
    """Say a text, and then nothing more until the event, or until nobody listens."""

    def reply(handler: BaseHTTPRequestHandler, body: Body) -> None:
        begin(handler)
        send(handler, delta(text))
        while not until.wait(0.05):
            handler.wfile.write(b": still here\n\n")

    return reply


@contextmanager
def chat_server(*replies: Reply, model: str = "stand-in") -> Iterator[ChatServer]:
    """Yield a server that gives each request the next reply."""
    state = ChatServer(replies=list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            writes(json.dumps({"data": [{"id": model}]}).encode(), "application/json")(self, {})

        def do_POST(self) -> None:
            state.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.headers.append(dict(self.headers))
            try:
                state.replies.pop(0)(self, state.asked[-1])
            except (BrokenPipeError, ConnectionResetError):
                return

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

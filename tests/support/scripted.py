"""A server that says of itself what an OpenAI-compatible one says, and answers every request as a test tells it to."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar


class Scripted(http.server.BaseHTTPRequestHandler):
    """Lists one model; everything else of a GET is 404, and a POST gets `status`, `body` and `headers_sent`."""

    model, status, body = "tiny", 200, b""
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        models = {"object": "list", "data": [{"id": self.model}]}
        self._answer(200 if self.path == "/v1/models" else 404, json.dumps(models).encode(), {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.status, self.body, self.headers_sent)

    def _answer(self, status: Any, body: Any, headers: Any) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def scripted(**answer: Any) -> Iterator[Any]:
    """Yield the URL of a server whose handler has these attributes."""
    handler = type("Handler", (Scripted,), answer)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()

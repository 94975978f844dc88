"""Traces reach a collector, and belong to the trace of the client."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from trtnemo.errors import MachineError
from trtnemo.front.traces import traced

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_without_an_endpoint_an_application_is_itself() -> None:
    app = object()
    assert traced(app, {}, "1") is app
    assert traced(app, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "1") is app


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MachineError, match=r"pip install 'trtnemo\[otel\]'"):
        traced(object(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "1")


def test_a_request_is_a_span_of_its_clients_trace(tiny_engine: Any) -> None:
    received: list[bytes] = []
    arrived = threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            if b"/v1/completions" in received[-1]:
                arrived.set()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, args=(0.02,), daemon=True).start()
    env = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    command = [sys.executable, "-m", "trtnemo", "serve", "--engine", str(tiny_engine), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        body = {"prompt": "a secret", "max_tokens": 9, "stream": True}
        assert httpx.post(f"{url}/v1/completions", json=body, headers=headers, timeout=30).status_code == 200
        assert arrived.wait(30)
    finally:
        process.terminate()
        process.communicate(timeout=60)
        collector.shutdown()
        collector.server_close()
    sent = b"".join(received)
    assert bytes.fromhex(TRACE) in sent
    assert b"trtnemo" in sent
    assert b"a secret" not in sent
    assert sent.count(b"POST /v1/completions") <= 2  # a span a request, and none a token

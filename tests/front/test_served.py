"""A real server with keys, limits, TLS and a unix socket, and one that refuses to be open to all."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from trtnemo.server.openapi import GETS, POSTS

ASK = {"prompt": "Hello", "max_tokens": 2}
KEY = "a-key-of-alice"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"alice: {KEY}\nmetrics: a-key-of-metrics\n")
    path.chmod(0o600)
    return path


def test_every_route_of_the_document_needs_a_key(tiny_engine: Any, server_process: Any, key_file: Path) -> None:
    process, url = server_process(tiny_engine, "--api-key-file", str(key_file), "--access-log", "json")
    with httpx.Client(base_url=url) as client:
        for path in [*POSTS, *GETS]:
            filled = path.replace("{name}", "tiny").replace("{response_id}", "resp_1")
            ask = client.post if path in POSTS else client.get
            is_open = path in ("/health", "/ready")
            assert ask(filled).status_code == (200 if is_open else 401), path
            assert ask(filled, headers={"authorization": f"Bearer {KEY}"}).status_code not in (401, 403, 500), path
            assert ask(filled, headers={"x-api-key": "a-key-of-metrics"}).status_code == (
                200 if is_open or path == "/metrics" else 401
            ), path
        for path in ("/openapi.json", "/version", "/v1/models/tiny", "/no/such"):
            assert client.get(path).status_code == 401
    process.terminate()
    lines = [json.loads(line) for line in process.communicate(timeout=60)[1].splitlines()]
    assert {line["key"] for line in lines} >= {"-", "alice", "metrics"}
    assert KEY not in json.dumps(lines)


def test_a_key_has_limits(tiny_engine: Any, server_process: Any, key_file: Path) -> None:
    limits = ["--set", "server.requests_per_minute=2"]
    _, url = server_process(tiny_engine, "--api-key-file", str(key_file), *limits)
    asked = [
        httpx.post(f"{url}/v1/completions", json=ASK, headers={"authorization": f"Bearer {KEY}"}) for _ in range(3)
    ]
    assert [found.status_code for found in asked] == [200, 200, 429]
    assert int(asked[2].headers["retry-after"]) > 20


def test_tokens_of_an_answer_are_counted_for_its_key(tiny_engine: Any, server_process: Any) -> None:
    _, url = server_process(tiny_engine, "--set", "server.tokens_per_minute=20")
    ask = {"prompt": "Hello", "max_tokens": 60, "ignore_eos": True}
    assert httpx.post(f"{url}/v1/completions", json={**ask, "stream": True}).status_code == 200
    assert httpx.post(f"{url}/v1/completions", json=ask).status_code == 429


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trtnemo", "serve", "--port", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_listening_beyond_this_machine_needs_keys(tiny_engine: Any, server_process: Any, key_file: Path) -> None:
    refused = serve("--engine", str(tiny_engine), "--host", "0.0.0.0")  # noqa: S104
    assert refused.returncode == 2
    assert "Give --api-key-file FILE, or --insecure" in refused.stderr
    for guard in (["--insecure"], ["--api-key-file", str(key_file)]):
        _, url = server_process(tiny_engine, "--host", "0.0.0.0", *guard)  # noqa: S104
        assert httpx.get(f"{url}/health").status_code == 200


def test_a_key_file_that_others_may_read_is_refused(tiny_engine: Any, key_file: Path) -> None:
    key_file.chmod(0o644)
    refused = serve("--engine", str(tiny_engine), "--api-key-file", str(key_file))
    assert refused.returncode == 2
    assert "chmod 600" in refused.stderr
    assert KEY not in refused.stderr


def test_a_server_speaks_tls_and_over_a_unix_socket(tiny_engine: Any, server_process: Any, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c"), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, *names, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    tls = ["--set", f"server.tls_certificate={tmp_path}/c", "--set", f"server.tls_key={tmp_path}/k"]
    process, url = server_process(tiny_engine, *tls, "--set", "server.header_seconds=1")
    assert url.startswith("https://")
    assert httpx.get(f"{url}/health", verify=ssl.create_default_context(cafile=tmp_path / "c")).status_code == 200
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as silent:
        assert silent.recv(1) == b""  # one that never begins to speak TLS is closed in its time
    with httpx.Client(verify=ssl.create_default_context(cafile=tmp_path / "c")) as idle:
        assert idle.get(f"{url}/health").status_code == 200  # and is kept open
        process.terminate()
        assert process.wait(timeout=10) == 0  # it took 30 seconds, for an end that the client never answers
    for certificate, key in (("k", "c"), ("c", "c")):
        names = [
            "--set",
            f"server.tls_certificate={tmp_path}/{certificate}",
            "--set",
            f"server.tls_key={tmp_path}/{key}",
        ]
        command = [sys.executable, "-m", "trtnemo", "serve", "--engine", str(tiny_engine), "--port", "0", *names]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "is no certificate in PEM that goes with the key" in refused.stderr
        assert "Traceback" not in refused.stderr
    path = str(tmp_path / "s")
    _, address = server_process(tiny_engine, "--set", f"server.unix_socket={path}")
    assert address == f"unix:{path}"
    with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://here") as client:
        assert client.post("/v1/completions", json=ASK).status_code == 200


def test_pages_of_named_origins_may_call_and_no_others(tiny_engine: Any, server_process: Any, key_file: Path) -> None:
    options = ["--api-key-file", str(key_file), "--set", "server.root_path=/behind/a/proxy"]
    _, url = server_process(tiny_engine, *options, "--set", "server.cors_origins=[https://a.test]")
    for origin, expected in (("https://a.test", "https://a.test"), ("https://b.test", None)):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        asked = httpx.options(f"{url}/v1/completions", headers=headers)
        assert asked.headers.get("access-control-allow-origin") == expected
        refused = httpx.post(f"{url}/v1/completions", json=ASK, headers={"origin": origin})
        assert refused.status_code == 401
        assert refused.headers.get("access-control-allow-origin") == expected  # so that a page can read it


def test_names_and_settings_of_serving_ask_for_no_other_engine(tiny_engine: Any, server_process: Any) -> None:
    _, url = server_process(tiny_engine, "--served-model-name", "mine", "--set", "server.kept_responses=0")
    assert [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]] == ["mine"]
    made = httpx.post(f"{url}/v1/responses", json={"input": "Hi", "max_output_tokens": 2}).json()
    assert httpx.get(f"{url}/v1/responses/{made['id']}").status_code == 404
    refused = serve("--engine", str(tiny_engine), "--set", "limits.max_batch_size=3")
    assert refused.returncode == 2
    assert "an engine is built already" in refused.stderr

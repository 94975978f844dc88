"""A server of ours for as long as a command needs one, and no longer."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from trtnemo.endpoint import base_url, shown
from trtnemo.errors import UsageError

CODE = """
import sys, time
from trtnemo.endpoint import serving
with serving(["--engine", sys.argv[1]]) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def is_up(url: Any) -> Any:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_server_ends_with_the_command_that_started_it_however_that_ends(tiny_engine: Any, end: str) -> None:
    command = [sys.executable, "-c", CODE, str(tiny_engine)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert is_up(url)
        getattr(process, end)()
        process.wait(30)
        ends = time.monotonic() + 30
        while is_up(url) and time.monotonic() < ends:
            time.sleep(0.05)
        assert not is_up(url)


def test_a_server_says_which_code_it_runs(tiny_url: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from trtnemo.files import digest

    told = httpx.get(f"{tiny_url}/version").json()
    assert told["code_digest"] == digest.code_digest()
    real = digest.file_sha256
    monkeypatch.setattr(digest, "file_sha256", lambda path: "0" if path.name == "mamba2.py" else real(path))
    assert digest.code_digest.__wrapped__() == told["code_digest"]  # there is no such file
    monkeypatch.setattr(digest, "file_sha256", lambda path: "0" if "mamba2" in path.parts else real(path))
    assert digest.code_digest.__wrapped__() != told["code_digest"]  # plugins are behind a link


@pytest.mark.parametrize("url", ["http://host:1/v1", "http://host:1/v1/", "http://host:1", "HTTP://host:1/"])
def test_the_base_of_an_address_is_the_same_however_a_client_is_given_it(url: str) -> None:
    assert base_url(url).lower() == "http://host:1"


@pytest.mark.parametrize("url", ["host:1", "me:secret@host/v1", "ftp://me:secret@host", ""])
def test_an_address_without_http_is_refused_and_tells_no_password(url: str) -> None:
    with pytest.raises(UsageError, match="Write it as http://HOST:PORT") as caught:
        base_url(url)
    assert "secret" not in str(caught.value)
    assert "secret" not in shown(url)

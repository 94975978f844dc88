"""What a stranger tries at the gateway: other methods, bodies that come slowly, odd paths and addresses."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import trtnemo_here
from tests.support.upstream import Gateway, Upstream, ready
from tests.support.waiting import wait_until


def test_what_needs_no_key_is_read_and_never_passed_on(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice: key-of-alice\n")
    keys.chmod(0o600)
    upstream = Upstream()
    with upstream.serving as base:
        _, url = gateway(base, options=("--api-key-file", str(keys)))
        wait_until(lambda: ready(url))
        for path in ("/health", "/ready"):
            assert httpx.post(url + path, json={}).status_code == 401
            head = {"authorization": "Bearer key-of-alice"}
            assert httpx.post(url + path, json={}, headers=head).status_code == 405
            assert httpx.head(url + path).status_code == 200
    assert upstream.asked == []


def test_requests_whose_bodies_are_still_sent_count(gateway: Gateway) -> None:
    with Upstream().serving as base:
        _, url = gateway(base, most_requests=2)
        wait_until(lambda: ready(url))

        def slow() -> Any:
            for _ in range(6):
                yield b'{"a": "'
                time.sleep(0.2)

        found: list[int] = []
        head = {"content-type": "application/json"}
        ask = [threading.Thread(target=lambda: found.append(_post(url, slow(), head))) for _ in range(6)]
        for thread in ask:
            thread.start()
        for thread in ask:
            thread.join()
    assert sorted(found) == [200] * 2 + [429] * 4


def _post(url: str, body: Any, headers: dict[str, str]) -> int:
    return httpx.post(f"{url}/v1/x", content=body, headers=headers, timeout=30).status_code


def test_a_path_reaches_the_server_as_it_was_written(gateway: Gateway) -> None:
    upstream = Upstream()
    with upstream.serving as base:
        _, url = gateway(base)
        wait_until(lambda: ready(url))
        httpx.post(f"{url}/v1/files/a%2Fb%3Fx=1?y=2", json={})
    assert upstream.asked[0][0] == "/v1/files/a%2Fb%3Fx=1?y=2"


@pytest.mark.parametrize("address", ["http://a:b@c:1", "http://c:1/?x=1", "http://c:1/#x"])
def test_an_address_with_more_than_an_address_is_refused(address: str) -> None:
    done = trtnemo_here("gateway", "--upstream", address)
    assert (done.returncode, "holds a password, a query or a fragment" in done.stderr) == (2, True)
    assert "a:b" not in done.stderr


def test_a_gateway_that_is_paused_tells_clients_to_come_again(gateway: Gateway) -> None:
    with Upstream().serving as base:
        process, url = gateway(base)
        wait_until(lambda: ready(url))
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: not ready(url))
        refused = httpx.post(f"{url}/v1/x", json={})
        assert (refused.status_code, "is being replaced" in refused.text) == (503, True)
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: ready(url))
        assert httpx.post(f"{url}/v1/x", json={}).status_code == 200

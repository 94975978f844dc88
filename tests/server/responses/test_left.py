"""Responses that nobody waited for."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.speaker import HTTP, Speaker, context_over, serving
from tests.support.waiting import wait_until
from trtnemo.server.responses.store import ResponseStore


def test_a_stream_that_its_client_left_is_cancelled_and_kept_as_it_was() -> None:
    store = ResponseStore(8, 1 << 20, 60)
    with context_over(Speaker("a long answer", slow_after=1), responses=store) as context, serving(context) as url:
        with HTTP.stream("POST", f"{url}/v1/responses", json={"input": "Hi", "stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            first = json.loads(next(lines).removeprefix("data: "))["response"]
            assert HTTP.get(f"{url}/v1/responses/{first['id']}").json()["status"] == "in_progress"
        wait_until(lambda: HTTP.get(f"{url}/v1/responses/{first['id']}").json()["status"] == "cancelled")
        wait_until(lambda: context.admission.taken == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_kept_in_the_end_is_the_response_alone(stream: bool) -> None:
    store = ResponseStore(8, 1 << 20, 60)
    with context_over(Speaker("one two three"), responses=store) as context, serving(context) as url:
        HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "stream": stream})
    (stored,) = store._kept.values()
    assert stored.response()["status"] == "completed"
    assert "one two three" in json.dumps(stored.response())
    assert stored.response.__closure__ is not None
    assert [type(cell.cell_contents) for cell in stored.response.__closure__] == [dict]  # and no call with its tokens
    texts = (msgspec.json.encode(stored.response()), stored.items, stored.messages)
    assert stored.nbytes == sum(map(len, texts)) > 1000


def test_one_that_failed_whole_is_not_kept() -> None:
    store = ResponseStore(8, 1 << 20, 60)
    with context_over(Speaker("one two three", 1), responses=store) as context, serving(context) as url:
        assert HTTP.post(f"{url}/v1/responses", json={"input": "Hi"}).status_code == 500
    assert not store._kept

"""Ranges and headers of a hub that lies, drips, cuts or says nothing; a scripted one, with no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub import constants

from trtnemo.checkpoint.hub import client as hub_client
from trtnemo.checkpoint.hub.client import (
    HubListing,
    HubShards,
    connect,
    list_hub,
    read_range,
    require_online,
)
from trtnemo.checkpoint.hub.refusal import hub_error
from trtnemo.errors import CheckpointError

URL = "http://hub/owner/model/resolve/main/model.safetensors"
DATA = bytes(range(250))
FIRST = hub_client._FIRST_BYTES


def answering(status: Any = 206, content: Any = DATA, **headers: Any) -> Any:
    """Return a client of a hub that gives one answer to everything."""
    return httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(status, stream=Pieces([content]), headers=headers))
    )


class Pieces(httpx.SyncByteStream):
    """A body in pieces; what is called between two is the time that passes."""

    def __init__(self, pieces: Any, between: Any = lambda: None) -> None:
        self.pieces, self.between = pieces, between

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces:
            self.between()
            yield piece


def content_range(begin: Any, end: Any, size: Any) -> Any:
    return {"Content-Range": f"bytes {begin}-{end}/{size}"}


def test_a_range_is_asked_for_and_no_byte_more() -> None:
    asked = []

    def answer(request: Any) -> Any:
        asked.append(request.headers["Range"])
        return httpx.Response(206, stream=Pieces([DATA[10:20]]), headers=content_range(10, 19, 250))

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        assert read_range(client, URL, 10, 10) == (DATA[10:20], 250)
    assert asked == ["bytes=10-19"]


def test_a_range_beyond_the_end_is_what_there_is() -> None:
    with answering(content=DATA[240:], **content_range(240, 249, 250)) as client:
        assert read_range(client, URL, 240, 1000) == (DATA[240:], 250)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": 200}, "answers without ranges"),
        ({"status": 404}, "the hub answers 404"),
        ({"status": 503}, "the hub answers 503"),
        ({}, "invalid Content-Range: ''"),
        ({"Content-Range": "bytes 0-249/*"}, "invalid Content-Range"),
        ({"Content-Range": "bytes 0-249/250 x"}, "invalid Content-Range"),
        ({"Content-Range": "octets 0-249/250"}, "invalid Content-Range"),
        ({"Content-Range": "bytes 0-249/" + "9" * 19}, "invalid Content-Range"),
        (content_range(1, 250, 251), "answers bytes 1-250 to a request from 0"),
        (content_range(0, 248, 250), "answers bytes 0-248"),
        (content_range(0, 250, 251), "answers bytes 0-250"),
        ({"content": DATA + b"x", **content_range(0, 249, 300)}, "sends more than it announced"),
        ({"content": DATA[:-1], **content_range(0, 249, 300)}, "ended after 249 of 250 bytes"),
        ({"content": b"", **content_range(0, 249, 300)}, "ended after 0 of 250 bytes"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(answer: Any, told: str) -> None:
    with answering(**answer) as client, pytest.raises(CheckpointError, match=told) as caught:
        read_range(client, URL, 0, 250)
    assert caught.value.where == "model.safetensors"


def test_a_connection_that_fails_is_told_with_its_reason() -> None:
    for error, told in ((httpx.ReadError("cut"), "failed: cut"), (httpx.ReadTimeout(""), "failed: ReadTimeout")):

        def fail(_: Any, error: Any = error) -> httpx.Response:
            raise error

        with httpx.Client(transport=httpx.MockTransport(fail)) as client, pytest.raises(CheckpointError, match=told):
            read_range(client, URL, 0, 250)


@pytest.mark.parametrize(("seconds", "is_given_up"), [(15.6, False), (15.7, True), (1000.0, True)])
def test_a_hub_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, seconds: float, is_given_up: bool) -> None:
    """A minute, and what 100 kB a second need: here two seconds and a half; it drips in four pieces."""
    now = [1000.0]
    monkeypatch.setattr(hub_client, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait() -> None:
        now[0] += seconds

    pieces = Pieces([b"x" * 62_500] * 4, wait)
    headers = content_range(0, 249_999, 250_000)
    transport = httpx.MockTransport(lambda _: httpx.Response(206, stream=pieces, headers=headers))
    with httpx.Client(transport=transport) as client:
        if is_given_up:
            with pytest.raises(CheckpointError, match=r"is sent too slowly: \d+ of 250000 bytes"):
                read_range(client, URL, 0, 250_000)
        else:
            assert len(read_range(client, URL, 0, 250_000)[0]) == 250_000


def shard(size: Any, name: Any = "a") -> Any:
    """Return a safetensors file whose header is padded to a size."""
    entry = json.dumps({name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    return size.to_bytes(8, "little") + entry.ljust(size) + b"1234"


def header_of(content: Any, monkeypatch: pytest.MonkeyPatch, size: Any = None) -> Any:
    """Return (the tensors of a file whose header is read by ranges, the ranges asked for)."""
    asked = []

    def answer(request: Any) -> Any:
        first, last = (int(part) for part in request.headers["Range"].removeprefix("bytes=").split("-"))
        last = min(last, (size or len(content)) - 1)
        asked.append((first, last))
        headers = content_range(first, last, size or len(content))
        whole = content.ljust(min(size or 0, FIRST))
        return httpx.Response(206, stream=Pieces([whole[first : last + 1]]), headers=headers)

    monkeypatch.setattr(hub_client, "connect", lambda: httpx.Client(transport=httpx.MockTransport(answer)))
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda name, file, revision: f"http://hub/{revision}/{file}")
    shards = HubShards(HubListing("owner/model", "abc", {"a.safetensors": len(content)}))
    assert shards.names() == {"a.safetensors"}
    found = shards.headers(["a.safetensors"])["a.safetensors"]
    return found, asked


@pytest.mark.parametrize(
    ("size", "ranges"),
    [
        (100, [(0, 111)]),
        (FIRST - 8, [(0, FIRST - 1)]),
        (FIRST - 7, [(0, FIRST - 1), (FIRST, FIRST)]),
        (3 * FIRST, [(0, FIRST - 1), (FIRST, 3 * FIRST + 7)]),
    ],
)
def test_a_header_is_read_with_as_few_bytes_as_it_needs(
    monkeypatch: pytest.MonkeyPatch, size: Any, ranges: Any
) -> None:
    found, asked = header_of(shard(size), monkeypatch)
    assert asked == ranges
    assert "a" in found.tensors


@pytest.mark.parametrize(
    ("content", "size", "told"),
    [
        (b"1234567", None, "is truncated: it has no header"),
        ((101).to_bytes(8, "little") + b" " * 100, None, "claims a header of 101 bytes in a file of 108"),
        ((100_000_001).to_bytes(8, "little"), 1 << 30, "claims a header of 100000001 bytes in a file of 1073741824"),
    ],
)
def test_a_file_without_a_whole_header_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, content: Any, size: Any, told: str
) -> None:
    found, asked = header_of(content, monkeypatch, size)
    assert found.tensors == {}
    assert [(item.rule, item.message) for item in found.problems] == [("header-unreadable", told)]
    assert len(asked) == 1


class Api:
    """What huggingface_hub answers, as a test gives it."""

    files: tuple[tuple[str, int | None], ...] = ()
    sha: str | None = "abc"
    error: Exception | None = None
    asked: tuple[object, ...] = ()

    def model_info(self, name: Any, revision: Any, files_metadata: Any, timeout: Any) -> Any:
        Api.asked = (name, revision, files_metadata)
        assert timeout
        if self.error is not None:
            raise self.error
        siblings = [SimpleNamespace(rfilename=file, size=size) for file, size in self.files]
        return SimpleNamespace(sha=self.sha, siblings=siblings or None)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(huggingface_hub, "HfApi", type("Own", (Api,), {}))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return huggingface_hub.HfApi


def test_a_listing_names_the_commit_and_the_files(api: Any) -> None:
    api.files = (("b.safetensors", 5), ("a.safetensors", None), ("sub/c.safetensors", 1), ("config.json", 9))
    found = list_hub("owner/model", "main")
    assert (found.name, found.commit) == ("owner/model", "abc")
    assert found.files == dict(api.files)
    assert found.weight_files == ["a.safetensors", "b.safetensors"]
    assert Api.asked == ("owner/model", "main", True)
    api.sha = None
    assert [list_hub("owner/model", given).commit for given in ("v1", None)] == ["v1", "main"]
    api.files = ()
    assert list_hub("owner/model").weight_files == []


def test_as_many_weight_files_and_as_large_json_as_the_limits_say(api: Any) -> None:
    most = hub_client._MOST_FILES
    api.files = tuple((f"{number}.safetensors", 1) for number in range(most))
    assert len(list_hub("o/m").weight_files) == most
    api.files += (("one-more.safetensors", 1),)
    with pytest.raises(CheckpointError, match=f"has {most + 1} weight files"):
        list_hub("o/m")
    limit = 256 << 20
    api.files = (("config.json", limit), ("weights.safetensors", 1 << 40), ("none.json", None))
    list_hub("o/m")
    api.files = (("config.json", limit + 1),)
    with pytest.raises(CheckpointError, match=r"config\.json is 268,435,457 bytes"):
        list_hub("o/m")


def test_a_hub_that_cannot_be_asked_is_told_in_a_line(api: Any) -> None:
    api.error = RuntimeError("\nno such thing\nat all")
    with pytest.raises(CheckpointError, match=r"from https://.*: no such thing\. Give"):
        list_hub("o/m")
    assert str(hub_error("o/m", ValueError(""))).startswith(f"o/m: cannot be had from {constants.ENDPOINT}: ValueError")


def test_nothing_is_asked_offline(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    require_online("o/m")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="the hub is offline"):
        list_hub("o/m")
    assert api.asked is Api.asked


def test_a_client_sends_the_token_and_takes_no_packed_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    with connect() as client:
        assert client.headers["authorization"] == "Bearer hf_mine"
        assert client.headers["accept-encoding"] == "identity"
        assert client.follow_redirects
        assert client.timeout == httpx.Timeout(30.0, connect=10.0)

"""Weights by ranges: whole files of the right digest, whatever the hub and an earlier run did."""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.support.hub import hub
from tests.support.hub.hub import COMMIT
from trtnemo.checkpoint.hub.client import HubListing
from trtnemo.checkpoint.hub.download import download_weights
from trtnemo.errors import CheckpointError

NAME, FILE = "owner/model", "model.safetensors"
CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Hub:
    """A hub of this process with one file, its etag that file's true digest; `asked` are the ranges of its GETs."""

    def __init__(self, directory: Any) -> None:
        self.file, self.etag = directory / FILE, DIGEST
        self.asked: list[Any] = []
        self.file.write_bytes(CONTENT)
        self.options = argparse.Namespace(
            directory=directory, name=NAME, no_ranges=False, cut=None, lie=False, shift=0, token=None
        )
        self.listing = HubListing(NAME, COMMIT, {FILE: len(CONTENT), "config.json": 2})


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    place = tmp_path / "hub"
    place.mkdir()
    one = Hub(place)

    class Handler(hub.Handler):
        options = one.options

        def do_GET(self) -> None:
            if self.path.endswith(FILE):
                one.asked.append(self.headers.get("Range"))
            super().do_GET()

    monkeypatch.setattr(hub, "tag", lambda path: one.etag)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for name, value in {"ENDPOINT": address, "HF_HUB_OFFLINE": False}.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(
            huggingface_hub,
            "hf_hub_url",
            lambda name, file, revision: f"{address}/{name}/resolve/{revision}/{file}",
        )
        yield one
        server.shutdown()


@pytest.fixture
def output(tmp_path: Path) -> Any:
    return tmp_path / "out"


def part_of(target: Any) -> Any:
    return target.parent / f".{target.name}.{COMMIT}.part"


def test_weights_are_fetched_whole_and_only_weights(served: Any, output: Any) -> None:
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT
    assert os.listdir(output) == [FILE]
    download_weights(served.listing, Path("/nowhere"), output)  # whole ones stay
    assert served.asked == [None]


def test_weights_whose_digest_is_another_are_refused_and_fetched_again(served: Any, output: Any) -> None:
    served.file.write_bytes(CONTENT[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=f"{FILE}: its digest is not what the hub says"):
            download_weights(served.listing, Path("/nowhere"), output)
        assert os.listdir(output) == []
    served.file.write_bytes(CONTENT)
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT


def test_an_etag_that_is_no_sha256_says_nothing_of_the_content(served: Any, output: Any) -> None:
    served.etag = "0a" * 20
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT


def test_a_cache_has_blobs_by_etag_and_links_in_its_snapshot(served: Any, tmp_path: Path) -> None:
    snapshot = tmp_path / "models" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    blob = tmp_path / "models" / "blobs" / DIGEST
    download_weights(served.listing, snapshot, None)
    assert blob.read_bytes() == CONTENT
    assert os.readlink(snapshot / FILE) == f"../../blobs/{DIGEST}"
    assert (snapshot / FILE).read_bytes() == CONTENT
    download_weights(served.listing, snapshot, None)  # whole ones stay
    (snapshot / FILE).unlink()
    download_weights(served.listing, snapshot, None)  # of another snapshot, say
    assert (snapshot / FILE).read_bytes() == CONTENT
    assert served.asked == [None]


def test_a_bad_blob_is_no_ones_weights(served: Any, tmp_path: Path) -> None:
    snapshot = tmp_path / "models" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    served.file.write_bytes(bytes(len(CONTENT)))
    with pytest.raises(CheckpointError, match="its digest"):
        download_weights(served.listing, snapshot, None)
    assert os.listdir(snapshot) == os.listdir(tmp_path / "models" / "blobs") == []


@pytest.mark.parametrize("had", [1, 4000, len(CONTENT) - 1])
def test_a_download_goes_on_where_it_stopped(served: Any, output: Any, had: Any) -> None:
    output.mkdir()
    part_of(output / FILE).write_bytes(CONTENT[:had])
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT
    assert served.asked == [f"bytes={had}-"]
    assert os.listdir(output) == [FILE]


def test_a_part_of_another_commit_is_not_gone_on_with(served: Any, output: Any) -> None:
    output.mkdir()
    other = output / f".{FILE}.{'f' * 40}.part"
    other.write_bytes(b"other")
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT
    assert other.read_bytes() == b"other"


def test_a_hub_that_answers_without_ranges_starts_the_file_again(served: Any, output: Any) -> None:
    served.options.no_ranges = True
    output.mkdir()
    part_of(output / FILE).write_bytes(CONTENT[:4000])
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT
    assert served.asked == ["bytes=4000-"]


def test_a_connection_that_breaks_is_tried_again_while_it_brings_more(served: Any, output: Any) -> None:
    served.options.cut = len(CONTENT) // 5
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT
    assert len(served.asked) == 5


def test_a_sixth_try_is_for_another_run(served: Any, output: Any) -> None:
    served.options.cut = len(CONTENT) // 5 - 1
    with pytest.raises(CheckpointError, match=r"failed after 10,235 bytes.*it goes on from there"):
        download_weights(served.listing, Path("/nowhere"), output)
    assert len(served.asked) == 5
    assert part_of(output / FILE).read_bytes() == CONTENT[:10235]
    download_weights(served.listing, Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT


def test_a_hub_that_brings_nothing_is_asked_once(served: Any, output: Any) -> None:
    served.options.cut = 0
    with pytest.raises(CheckpointError, match="failed after 0 bytes"):
        download_weights(served.listing, Path("/nowhere"), output)
    assert served.asked == [None]


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_of_another_size_than_listed_is_refused(served: Any, output: Any, size: Any) -> None:
    listing = HubListing(NAME, COMMIT, {FILE: size})
    with pytest.raises(CheckpointError):
        download_weights(listing, Path("/nowhere"), output)
    assert not (output / FILE).exists()


def test_a_size_that_the_hub_does_not_list_is_taken_from_its_answer(served: Any, output: Any) -> None:
    download_weights(HubListing(NAME, COMMIT, {FILE: None}), Path("/nowhere"), output)
    assert (output / FILE).read_bytes() == CONTENT


def test_a_file_that_is_gone_from_the_hub_is_told(served: Any, output: Any) -> None:
    output.mkdir()
    part_of(output / FILE).write_bytes(CONTENT)  # all of it: a range behind the end is 416
    with pytest.raises(CheckpointError, match="the hub answers 416"):
        download_weights(HubListing(NAME, COMMIT, {FILE: len(CONTENT)}), Path("/nowhere"), output)

"""What a download of the hub leaves says which files are as they were published."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.auditing.deep.digests import digest_findings, published_digests, read_digests
from trtnemo.errors import UsageError

WEIGHTS = "model.safetensors"


@pytest.fixture
def local(make_checkpoint: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(make_checkpoint("bf16"), tmp_path / "local"))


def in_cache(source: Path, place: Path) -> Path:
    """Lay a checkpoint out as the hub's cache does: links into blobs that are named by their etag."""
    blobs, snapshot = place / "blobs", place / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in source.iterdir():
        data = path.read_bytes()
        large = path.suffix == ".safetensors"
        name = hashlib.sha256(data).hexdigest() if large else hashlib.sha256(data).hexdigest()[:40]
        (blobs / name).write_bytes(data)
        (snapshot / path.name).symlink_to(Path("../../blobs") / name)
    return snapshot


def test_cache_names_blobs_by_their_digest(local: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(in_cache(local, tmp_path / "cache"))
    digests = published_digests(checkpoint.shards)
    assert digests == {WEIGHTS: hashlib.sha256((local / WEIGHTS).read_bytes()).hexdigest()}
    assert digest_findings(checkpoint, digests) == ([], 1)
    blob = (checkpoint.directory / WEIGHTS).resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    found, compared = digest_findings(Checkpoint.open(checkpoint.directory), digests)
    assert ([one.rule for one in found], found[0].subject, compared) == (["file-changed"], WEIGHTS, 1)


@pytest.mark.parametrize(("etag", "is_known"), [("{sha}", True), ("abc", False), ("", False)])
def test_download_into_a_directory_keeps_the_digest_beside_it(local: Path, etag: str, is_known: bool) -> None:
    place = local / ".cache" / "huggingface" / "download"
    place.mkdir(parents=True)
    sha = hashlib.sha256((local / WEIGHTS).read_bytes()).hexdigest()
    (place / f"{WEIGHTS}.metadata").write_text(f"{'0' * 40}\n{etag.format(sha=sha)}\n1700000000.0\n")
    assert published_digests(Checkpoint.open(local).shards) == ({WEIGHTS: sha} if is_known else {})


def test_files_that_nothing_is_known_of_are_not_compared(local: Path) -> None:
    checkpoint = Checkpoint.open(local)
    assert published_digests(checkpoint.shards) == {}
    assert digest_findings(checkpoint, {"other.safetensors": "0" * 64}) == ([], 0)


def test_lists_of_sha256sum_are_read_in_all_of_its_forms(tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    sums.write_text(f"# made by a script\n{'A' * 64}  ./sub/a.safetensors\n\n{'b' * 64} *b.safetensors\n")
    assert read_digests(sums) == {"a.safetensors": "a" * 64, "b.safetensors": "b" * 64}
    sums.write_text(f"\\{'c' * 64}  odd\\\\name.safetensors\n")  # how sha256sum begins a line with a strange name
    assert list(read_digests(sums).values()) == ["c" * 64]
    with pytest.raises(UsageError, match="cannot be read"):
        read_digests(tmp_path)


def test_link_to_a_place_that_only_looks_like_a_digest_is_no_digest(local: Path) -> None:
    weights = local / WEIGHTS
    other = local.parent / ("a" * 64)
    weights.rename(other)
    weights.symlink_to(other)
    assert published_digests(Checkpoint.survey(local).shards) == {}

"""Weight files of a hub id by ranges, so that a download that was cut off goes on in another run.

huggingface_hub starts such a file again in every process; here each lies beside its place as `.NAME.COMMIT.part` until
it is whole, its digest compared where the hub gives one. The cache's own layout is kept: blobs by etag, links in
snapshots.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from trtnemo.checkpoint.hub.client import HubListing, connect
from trtnemo.errors import CheckpointError
from trtnemo.files.digest import file_sha256

_ATTEMPTS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")


def download_weights(listing: HubListing, snapshot: Path, output: Path | None) -> None:
    """Bring every weight file into `output`, or into the cache that `snapshot` belongs to; whole ones stay.

    Raises CheckpointError where the hub stops answering, or a file is not what the hub says it is.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with connect() as client:
        for name in listing.weight_files:
            place = (output or snapshot) / name
            if place.exists():
                continue
            url = hf_hub_url(listing.name, name, revision=listing.commit)
            etag = require_etag(get_hf_file_metadata(url).etag, name)
            target = place if output is not None else snapshot.parent.parent / "blobs" / etag
            if not target.exists():
                _download(client, url, target, listing.files[name], _part(target, listing.commit))
                _compare_digest(target, etag)
            if target != place:
                place.symlink_to(Path("..") / ".." / "blobs" / etag)


def require_etag(etag: str | None, name: str) -> str:
    """Return a hub's ETag, which names a file of the cache; raises CheckpointError where it is not a plain name."""
    if etag is None or re.fullmatch(r"\w[\w.-]*", etag, re.ASCII) is None:
        raise CheckpointError(f"the hub sent an ETag that cannot name a file: {etag!r}", where=name)
    return etag


def _part(target: Path, commit: str) -> Path:
    return target.parent / f".{target.name}.{commit}.part"


def _download(client: httpx.Client, url: str, target: Path, size: int | None, part: Path) -> None:
    """Append to `part` until it is whole, then put it in its place; a try that brings nothing new ends the loop."""
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            total = _append(client, url, part, before)
        except httpx.HTTPError as error:
            total, reason = size, str(error) or type(error).__name__
        else:
            reason = "it sent less than it announced"
        now = part.stat().st_size if part.exists() else 0
        if total is not None and now == total and (size is None or size == total):
            part.replace(target)
            return
        if now <= before or (size is not None and now > size):
            break
    raise CheckpointError(
        f"{target.name}: the connection failed after {now:,} bytes: {reason}",
        where=url.partition("/resolve/")[0],
        remedy="Run it again: it goes on from there",
    )


def _append(client: httpx.Client, url: str, part: Path, start: int) -> int | None:
    """Read from `start` to the end and append; return the size of the whole file as this answer gives it."""
    with client.stream("GET", url, headers={"Range": f"bytes={start}-"} if start else {}) as response:
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise CheckpointError(f"the hub answers {response.status_code}", where=url.rpartition("/")[2])
        goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
        length = response.headers.get("Content-Length", "")
        total = int(length) + (start if goes_on else 0) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_raw():  # as it comes: what is held back would be lost with the connection
                file.write(chunk)
                if total is not None and file.tell() > total:
                    raise CheckpointError("the hub sends more than it announced", where=url.rpartition("/")[2])
    return total


def _compare_digest(target: Path, etag: str) -> None:
    """Raise where the file's SHA-256, which is the etag of large files, is another; the file is removed then."""
    if _SHA256.fullmatch(etag) is not None and file_sha256(target) != etag:
        target.unlink()
        raise CheckpointError("its digest is not what the hub says", where=target.name, remedy="Fetch it again")

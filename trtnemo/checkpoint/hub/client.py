"""A hub id's files by HTTP: what there is, and shard headers by range requests, so that no weights are fetched.

huggingface_hub finds the endpoint, the token and the revision; ranges are read here, because a header must be bounded
and checked before it is believed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from trtnemo.checkpoint.format.header import MAXIMUM_HEADER_BYTES, parse_header
from trtnemo.checkpoint.format.headers import ShardHeader, read_shard
from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.checkpoint.hub.refusal import hub_error
from trtnemo.errors import CheckpointError, HeaderError
from trtnemo.files.json_file import MAXIMUM_BYTES
from trtnemo.findings import Finding

_FIRST_BYTES = 256 << 10
_CONNECTIONS = 8
_SECONDS = httpx.Timeout(30.0, connect=10.0)
_MOST_FILES = 1000
# bounds the time spent on a slow server: a minute, and what 100 kB a second need
_SLOWEST = 100_000
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True)
class HubListing:
    """A repository at one commit: its id, the commit, and its files with their sizes where the hub says them."""

    name: str
    commit: str
    files: dict[str, int | None]

    @property
    def weight_files(self) -> list[str]:
        """The safetensors files at the top of the repository."""
        return sorted(file for file in self.files if file.endswith(".safetensors") and "/" not in file)


def list_hub(name: str, revision: str | None = None) -> HubListing:
    """Return what a hub id holds; raises CheckpointError where the hub cannot be asked or has no such id."""
    from huggingface_hub import HfApi

    require_online(name)
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=_SECONDS.connect)
    except Exception as error:  # the hub client raises types of its own, of its HTTP library and of the system
        raise hub_error(name, error) from None
    files = {item.rfilename: item.size for item in info.siblings or ()}
    listing = HubListing(name, info.sha or revision or "main", files)
    if len(listing.weight_files) > _MOST_FILES:
        raise CheckpointError(
            f"has {len(listing.weight_files)} weight files; at most {_MOST_FILES} are read", where=name
        )
    for file, size in files.items():
        if file.endswith(".json") and (size or 0) > MAXIMUM_BYTES:
            raise CheckpointError(f"{file} is {size:,} bytes; at most {MAXIMUM_BYTES:,} are read", where=name)
    return listing


def require_online(name: str) -> None:
    """Raise CheckpointError where the hub may not be asked."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise CheckpointError(
            "is not in this machine's cache, and the hub is offline (HF_HUB_OFFLINE is set)",
            where=name,
            remedy="Give a local directory, or fetch it first",
        )


def connect() -> httpx.Client:
    """Return a client with the hub's headers, the token among them, which httpx sends to no other host."""
    from huggingface_hub.utils import build_hf_headers

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    transport = httpx.HTTPTransport(retries=2)
    return httpx.Client(headers=headers, timeout=_SECONDS, follow_redirects=True, transport=transport)


class HubShards:
    """The weight files of a listing; only their headers are read, several at a time."""

    def __init__(self, listing: HubListing) -> None:
        self.listing = listing

    def names(self) -> set[str]:
        """Return the names of all weight files."""
        return set(self.listing.weight_files)

    def headers(self, names: Iterable[str]) -> dict[str, ShardHeader]:
        """Read the headers of some files; raises CheckpointError where the hub does not answer as it should."""
        wanted = list(names)
        with connect() as client, ThreadPoolExecutor(_CONNECTIONS) as pool:
            return dict(zip(wanted, pool.map(partial(self._header, client), wanted), strict=True))

    def _header(self, client: httpx.Client, name: str) -> ShardHeader:
        return read_shard(name, lambda problems: self._read(client, name, problems), [])

    def _read(self, client: httpx.Client, name: str, problems: list[Finding]) -> dict[str, TensorInfo]:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.listing.name, name, revision=self.listing.commit)
        start, size = read_range(client, url, 0, _FIRST_BYTES)
        if len(start) < 8:
            raise HeaderError("is truncated: it has no header", where=name, remedy="Download it again")
        length = int.from_bytes(start[:8], "little")
        if length > min(MAXIMUM_HEADER_BYTES, size - 8):
            raise HeaderError(f"claims a header of {length} bytes in a file of {size}", where=name)
        text = start[8 : 8 + length]
        if len(text) < length:
            text += read_range(client, url, len(start), 8 + length - len(start))[0]
        return parse_header(text, size - 8 - length, Path(name), problems)


def read_range(client: httpx.Client, url: str, start: int, length: int) -> tuple[bytes, int]:
    """Return up to `length` bytes from `start` and the size of the whole file; never reads more.

    Raises CheckpointError where the server ignores ranges, lies about them, or cuts the connection.
    """
    name = url.rpartition("/")[2]
    try:
        with client.stream("GET", url, headers={"Range": f"bytes={start}-{start + length - 1}"}) as response:
            if response.status_code == httpx.codes.OK:
                raise CheckpointError(
                    "the endpoint answers without ranges, so headers cannot be read alone",
                    where=name,
                    remedy="Skip the audit (`trtnemo fetch --anyway`) and check the directory",
                )
            if response.status_code != httpx.codes.PARTIAL_CONTENT:
                raise CheckpointError(f"the hub answers {response.status_code}", where=name)
            begin, end, size = _content_range(response.headers.get("Content-Range", ""), name)
            wanted = min(length, size - start)
            if begin != start or end - begin + 1 != wanted:
                raise CheckpointError(f"the hub answers bytes {begin}-{end} to a request from {start}", where=name)
            return _bounded(response, wanted, name), size
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(f"the connection failed: {reason}", where=name, remedy="Try again") from None


def _content_range(text: str, name: str) -> tuple[int, int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise CheckpointError(f"the hub sent an invalid Content-Range: {text!r}", where=name)
    begin, end, size = (int(part) for part in match.groups())
    return begin, end, size


def _bounded(response: httpx.Response, wanted: int, name: str) -> bytes:
    data, deadline = bytearray(), time.monotonic() + 60 + wanted / _SLOWEST
    for chunk in response.iter_raw():
        data += chunk
        if time.monotonic() > deadline:
            raise CheckpointError(f"is sent too slowly: {len(data)} of {wanted} bytes", where=name, remedy="Try again")
        if len(data) > wanted:
            raise CheckpointError("the hub sends more than it announced", where=name)
    if len(data) < wanted:
        raise CheckpointError(
            f"the connection ended after {len(data)} of {wanted} bytes", where=name, remedy="Try again"
        )
    return bytes(data)

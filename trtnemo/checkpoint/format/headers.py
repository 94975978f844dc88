"""The tensors of all shards, compared with the index; what is wrong is collected, so that all of it can be reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from trtnemo.checkpoint.collector import paused_collector
from trtnemo.checkpoint.format.header import read_header
from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.checkpoint.rules import found
from trtnemo.errors import CheckpointError, HeaderError
from trtnemo.files.json_file import read_json_object
from trtnemo.findings import Finding

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class Shards(Protocol):
    """Where headers come from: a directory, or a hub's range requests."""

    def names(self) -> set[str]:
        """Return the names of all weight files."""

    def headers(self, names: Iterable[str]) -> dict[str, ShardHeader]:
        """Read the headers of some files."""


@dataclass(frozen=True)
class ShardHeader:
    """One file's tensors; where it lies about itself, `problems` say how, and none of an unreadable one is there."""

    tensors: dict[str, TensorInfo]
    problems: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Headers:
    """All tensors by name, what is wrong with shards and index, and the tensors that lie in unreadable shards.

    `unlisted` are those of shards that the index does not name at all: no server that follows it finds them.
    """

    tensors: dict[str, TensorInfo]
    problems: tuple[Finding, ...]
    unreadable: frozenset[str]
    unlisted: dict[str, TensorInfo] = field(default_factory=dict)

    def require(self, where: str) -> None:
        """Raise CheckpointError for the first problem that no server can live with."""
        first = next((problem for problem in self.problems if problem.severity == "error"), None)
        if first is not None:
            raise CheckpointError(f"{first.subject}: {first.message}", where=where)


class LocalShards:
    """The weight files of a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> set[str]:
        """Return the names of all weight files."""
        return {path.name for path in self.directory.glob("*.safetensors") if path.is_file()}

    def headers(self, names: Iterable[str]) -> dict[str, ShardHeader]:
        """Read the headers of some files."""
        return {name: self._header(name) for name in names}

    def _header(self, name: str) -> ShardHeader:
        path, problems = self.directory / name, []
        outside = _target_outside(path)
        if outside is not None:
            problems.append(found("link-outside", name, f"is a link to {outside}"))
        return read_shard(name, lambda collected: read_header(path, collected), problems)


def read_shard(
    name: str, read: Callable[[list[Finding]], dict[str, TensorInfo]], problems: list[Finding]
) -> ShardHeader:
    """Read one header by `read(problems)`; a file that lies becomes a problem instead of an error."""
    try:
        tensors = read(problems)
    except HeaderError as error:
        place = f"{error.where.rpartition(': ')[2]}: " if error.where and ": tensor" in error.where else ""
        return ShardHeader({}, (*problems, found("header-unreadable", name, f"{place}{error.what}")))
    return ShardHeader(tensors, tuple(problems))


def _target_outside(path: Path) -> Path | None:
    """Return where a link leads that leaves its directory; the hub's cache links into its own blobs."""
    if not path.is_symlink():
        return None
    path = path.absolute()
    target = path.resolve()
    is_cache = path.parent.parent.name == "snapshots" and target.parent == path.parent.parent.parent.resolve() / "blobs"
    return None if is_cache or target.parent == path.parent.resolve() else target


@paused_collector()
def survey_headers(directory: Path, shards: Shards | None = None) -> Headers:
    """Return the tensors of a single or sharded checkpoint and what is wrong with them.

    `directory` holds the index. Raises CheckpointError where there are no weights, or the index is not an index.
    """
    shards = shards or LocalShards(directory)
    present, index = shards.names(), directory / INDEX
    if not index.is_file():
        if SINGLE not in present:
            raise CheckpointError(f"holds neither {SINGLE} nor {INDEX}", where=str(directory))
        header = shards.headers([SINGLE])[SINGLE]
        _refuse_unreadable(header, directory / SINGLE)
        unlisted = [_unlisted(name) for name in sorted(present - {SINGLE})]
        return Headers(header.tensors, (*header.problems, *unlisted), frozenset())
    content = read_json_object(index)
    weight_map = _weight_map(content, index)
    return _compare(content, weight_map, present, shards)


def _refuse_unreadable(header: ShardHeader, path: Path) -> None:
    """Raise where the only file cannot be read: there is nothing else to look at."""
    for problem in header.problems:
        if problem.rule == "header-unreadable":
            raise HeaderError(problem.message, where=str(path), remedy="Download it again")


def _weight_map(content: dict[str, Any], index: Path) -> dict[str, str]:
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError("has no 'weight_map'", where=str(index))
    for shard in set(map(str, weight_map.values())):
        if not shard or Path(shard).name != shard or "\\" in shard:
            raise CheckpointError(f"names the shard {shard!r}, which lies outside the directory", where=str(index))
    return {name: str(shard) for name, shard in weight_map.items()}


def _compare(content: dict[str, Any], weight_map: dict[str, str], present: set[str], shards: Shards) -> Headers:
    wanted = set(weight_map.values())
    problems = [
        found("shard-missing", shard, "is named by the index and not there") for shard in sorted(wanted - present)
    ]
    problems += [_unlisted(name) for name in sorted(present - wanted)]
    tensors: dict[str, TensorInfo] = {}
    lost = set(wanted - present)
    headers = shards.headers(sorted(wanted & present))
    for shard, header in headers.items():
        problems += header.problems
        if any(problem.rule == "header-unreadable" for problem in header.problems):
            lost.add(shard)
        for name, info in header.tensors.items():
            if name in tensors:
                problems.append(
                    found("tensor-duplicate", name, f"stands in {Path(tensors[name].file).name} and {shard}")
                )
            tensors[name] = info
    unreadable = frozenset(name for name, shard in weight_map.items() if shard in lost)
    problems += _index_problems(weight_map, tensors, unreadable)
    total = content.get("metadata", {}).get("total_size") if isinstance(content.get("metadata"), dict) else None
    size = sum(info.size for info in tensors.values())
    if isinstance(total, int) and not lost and total != size:
        problems.append(found("index-total-size", INDEX, f"says {total:,} bytes, the tensors have {size:,}"))
    extra = shards.headers(sorted(present - wanted)).values()
    unlisted = {name: info for header in extra for name, info in header.tensors.items() if name not in tensors}
    return Headers(tensors, tuple(problems), unreadable, unlisted)


def _index_problems(
    weight_map: dict[str, str], tensors: dict[str, TensorInfo], unreadable: frozenset[str]
) -> list[Finding]:
    problems = []
    names = {file: Path(file).name for file in {info.file for info in tensors.values()}}
    for name, shard in weight_map.items():
        info = tensors.get(name)
        if info is None:
            if name not in unreadable:
                problems.append(
                    found("index-extra", name, f"is not in {shard}, where the index puts it, nor elsewhere")
                )
        elif names[info.file] != shard:
            problems.append(found("index-wrong-shard", name, f"is in {names[info.file]}, the index says {shard}"))
    unnamed = sorted(tensors.keys() - weight_map.keys())
    return problems + [found("index-incomplete", name, "is in a shard and not in the index") for name in unnamed]


def _unlisted(name: str) -> Finding:
    return found("shard-unlisted", name, "is in the directory and not in the index")

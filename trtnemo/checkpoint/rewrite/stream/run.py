"""Write a new checkpoint piece by piece: at the disk's speed, in bounded memory, going on where a run was killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from trtnemo.checkpoint.format.headers import INDEX
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.checkpoint.reading.threads import Progress, in_threads
from trtnemo.checkpoint.rewrite.stream.page import Page
from trtnemo.checkpoint.rewrite.stream.piece import Piece
from trtnemo.checkpoint.rewrite.stream.shard import Shard, cut_shards
from trtnemo.checkpoint.rewrite.stream.staging import Staging, flushed_meanwhile, open_staging
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import write_json
from trtnemo.files.staging import check_output, refuse_own_place

SHARD_BYTES = 5_000_000_000  # as the hub's own are cut
Report = Callable[[str, int, int], None]
Storages = Mapping[str, StorageType]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rewrite(Generic[Result]):
    """A new checkpoint as it is planned.

    files: every file that pieces read; identity: what else decides the bytes that are written; finish: writes the files
    beside the weights into the directory, given the element types of all tensors, and judges the whole.
    """

    files: Sequence[Path]
    pieces: Sequence[Piece]
    identity: Mapping[str, Any]
    finish: Callable[[Path, Storages], Result]


@dataclass(frozen=True)
class Written(Generic[Result]):
    """What `finish` returned, how many files there are, and how many of them an earlier run had left."""

    result: Result
    files: int
    files_kept: int


def write_stream(
    output: Path,
    rewrite: Rewrite[Result],
    *,
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    report: Report = lambda what, done, total: None,
) -> Written[Result]:
    """Write all pieces, in their order, to files of `shard_bytes` in `output`, which appears when all of it is there.

    report hears of (file, bytes read, bytes to read). A run that is killed leaves whole files, and the same call goes
    on behind them. Raises CheckpointError, and MachineError where the disk is too small.
    """
    require_place(output, {path.parent for path in rewrite.files}, force)
    shards = cut_shards(rewrite.pieces, shard_bytes)
    with open_staging(output) as staging, Sources(str(path) for path in rewrite.files) as sources:
        staging.adopt(_fingerprint(rewrite, shards, sources))
        left = [shard for shard in shards if not staging.holds(shard)]
        staging.require_space(left)
        _write_shards(staging, shards, left, sources, report)
        sources.require_unchanged()
        staging.keep_only(shards)
        result = _finish(rewrite, staging.directory, shards)
        check_output(output, force, "config.json", CheckpointError)  # which may have appeared meanwhile
        staging.finish(output)
    return Written(result, len(shards), len(shards) - len(left))


def require_place(output: Path, read: set[Path], force: bool) -> None:
    """Raise CheckpointError where an output is there already, or is what is read."""
    check_output(output, force, "config.json", CheckpointError)
    refuse_own_place(output, sorted(read), CheckpointError)


def _fingerprint(rewrite: Rewrite[Result], shards: list[Shard], sources: Sources) -> dict[str, Any]:
    """Return all that decides what is written: another plan begins with nothing."""
    return {
        "trtnemo": version("trtnemo"),
        "files": [[Path(path).name, state] for path, state in sources.states.items()],  # two may have one name
        "shards": [[shard.name, shard.header.decode("latin-1")] for shard in shards],
        **rewrite.identity,
    }


def _write_shards(staging: Staging, shards: list[Shard], left: list[Shard], sources: Sources, report: Report) -> None:
    total = sum(shard.bytes_read for shard in shards)
    done = total - sum(shard.bytes_read for shard in left)
    for shard in left:
        begin = done

        def fill(file: int, shard: Shard = shard, begin: int = begin) -> None:
            progress = Progress(lambda what, read: report(what, begin + read, total))
            page = Page(sources, file, shard.places, lambda read: progress.add(shard.name, read))
            with flushed_meanwhile(file):
                in_threads(lambda piece: piece.write(page), shard.pieces)

        staging.write(shard, fill)
        sources.require_unchanged()
        done += shard.bytes_read


def _finish(rewrite: Rewrite[Result], directory: Path, shards: list[Shard]) -> Result:
    storages = {tensor.name: tensor.storage for shard in shards for tensor in shard.tensors}
    try:
        if len(shards) > 1:
            write_json(directory / INDEX, _index(shards))
        return rewrite.finish(directory, storages)
    except OSError as error:
        raise CheckpointError(
            f"cannot be written: {error.strerror}",
            where=str(error.filename or directory),
            remedy="The same command goes on with what is written already",
        ) from None


def _index(shards: list[Shard]) -> Mapping[str, Any]:
    total = sum(tensor.size for shard in shards for tensor in shard.tensors)
    weights = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(weights.items()))}

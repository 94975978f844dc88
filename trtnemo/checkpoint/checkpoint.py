"""A checkpoint on disk: its network, its quantization map, and its tensors by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trtnemo.checkpoint.family.config import ModelConfig, parse_config
from trtnemo.checkpoint.family.quantization import QuantizationMap, read_quantizations
from trtnemo.checkpoint.family.tools.known import refuse_gguf
from trtnemo.checkpoint.format.headers import Headers, survey_headers
from trtnemo.checkpoint.format.storage import PLAIN, RawTensor
from trtnemo.checkpoint.hub.source import (
    SMALL_FILES,
    cached_snapshot,
    fetch_snapshot,
    find_directory,
    locate_checkpoint,
)
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.files.json_file import read_json_object

if TYPE_CHECKING:
    from trtnemo.checkpoint.hub.client import HubListing


class Checkpoint:
    """An opened checkpoint; weights stay on disk until `read` maps them.

    Attributes: `directory`, `raw_config` (config.json as it stands), `config`, `quantizations`, `headers` (all that was
    read of the shards), `tensors` (by name), `listing` (where only a hub's headers were fetched).
    """

    def __init__(
        self, directory: Path, raw_config: dict[str, Any], headers: Headers, listing: HubListing | None = None
    ) -> None:
        self.directory = directory
        self.raw_config = raw_config
        self.headers = headers
        self.listing = listing
        self.tensors = headers.tensors
        self.config: ModelConfig = parse_config(raw_config, str(directory / "config.json"))
        self.quantizations: list[QuantizationMap] = read_quantizations(directory, raw_config)
        self._mapped: dict[str, np.memmap[Any, np.dtype[np.uint8]]] = {}

    @classmethod
    def open(cls, name: str | Path, revision: str | None = None) -> Checkpoint:
        """Open a directory, hub id or `tiny`; reads json files and headers only, a hub id's weights are downloaded.

        Raises CheckpointError, for shards and index that contradict each other too.
        """
        checkpoint = cls._local(locate_checkpoint(str(name), revision))
        checkpoint.headers.require(str(checkpoint.directory))
        return checkpoint

    @classmethod
    def survey(cls, name: str | Path, revision: str | None = None) -> Checkpoint:
        """Open as `open` does, but leave what is wrong with shards and index to the audit.

        Of a hub id that is not in the cache, the small files and the headers alone are fetched; `read` then raises.
        """
        directory = find_directory(str(name)) or cached_snapshot(str(name), revision)
        if directory is not None:
            return cls._local(directory)
        from trtnemo.checkpoint.hub.client import list_hub  # brings the HTTP client, which most runs do not need

        return cls.from_hub(list_hub(str(name), revision))

    @classmethod
    def from_hub(cls, listing: HubListing) -> Checkpoint:
        """Open what a hub lists, the small files and the headers alone fetched; raises CheckpointError."""
        from trtnemo.checkpoint.hub.client import HubShards

        refuse_gguf(listing.files, listing.name)
        if "config.json" not in listing.files:
            raise CheckpointError("has no config.json", where=listing.name)
        directory = fetch_snapshot(listing.name, listing.commit, SMALL_FILES)
        headers = survey_headers(directory, HubShards(listing))
        return cls(directory, read_json_object(directory / "config.json"), headers, listing)

    @classmethod
    def _local(cls, directory: Path) -> Checkpoint:
        refuse_gguf((path.name for path in directory.iterdir()), str(directory))
        return cls(directory, read_json_object(directory / "config.json"), survey_headers(directory))

    @property
    def place(self) -> str:
        """Where it is, for people: the directory, or hub id and commit."""
        return str(self.directory) if self.listing is None else f"{self.listing.name}@{self.listing.commit}"

    def read(self, name: str) -> RawTensor:
        """Return the bits of a tensor, mapped from its file; raises CheckpointError when it is not there."""
        info = self.tensors.get(name)
        if info is None:
            raise CheckpointError(f"tensor {name} is missing", where=self.place)
        if self.listing is not None:
            raise CheckpointError("only its headers were fetched", where=self.place, remedy="`trtnemo fetch` has all")
        if info.size == 0:
            return RawTensor(info.storage, np.empty(info.shape, info.storage.raw_dtype))
        if info.file not in self._mapped:
            self._mapped[info.file] = np.memmap(info.file, dtype=np.uint8, mode="r")
        data = self._mapped[info.file][info.offset : info.offset + info.size]
        if data.nbytes != info.size:
            raise CheckpointError("shrank after it was opened", where=info.file)
        # An odd header length leaves tensors unaligned; numpy reads those through a copy.
        return RawTensor(info.storage, np.frombuffer(data.tobytes(), info.storage.raw_dtype).reshape(info.shape))

    @property
    def quantization(self) -> QuantizationMap:
        """The map to believe; one that names nothing where the checkpoint has none."""
        return self.quantizations[0] if self.quantizations else QuantizationMap()

    def require_weights(self) -> None:
        """Raise UsageError where only the headers were fetched."""
        if self.listing is not None:
            raise UsageError("only its headers were fetched", where=self.place, remedy="`trtnemo fetch` has all")

    def require_plain(self) -> None:
        """Raise CheckpointError for a checkpoint that is quantized already."""
        quantized = next((info for info in self.tensors.values() if info.storage not in PLAIN), None)
        if quantized is not None:
            raise CheckpointError(
                f"is quantized already: {quantized.name} is {quantized.storage.value}", where=self.place
            )

    def require_decodable(self) -> None:
        """Raise CheckpointError for weights that trtnemo's own runtimes do not decode."""
        reason = self.quantization.undecodable
        if reason is not None:
            raise CheckpointError(
                reason,
                where=self.place,
                remedy="Use a ModelOpt export (NVFP4, FP8) or BF16 here; `trtnemo convert` makes one of "
                "compressed-tensors' NVFP4",
            )

    @property
    def shards(self) -> list[Path]:
        """The weight files, in name order."""
        return sorted({Path(info.file) for info in self.tensors.values()})

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors, headers not counted."""
        return sum(info.size for info in self.tensors.values())

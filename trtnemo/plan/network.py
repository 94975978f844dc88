"""The network that a plan is for: config and map from a directory, the released family, or the hub, weights never."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from trtnemo.checkpoint.collector import paused_collector
from trtnemo.checkpoint.family.config import ModelConfig, parse_config
from trtnemo.checkpoint.family.quantization import QuantizationMap, read_quantization
from trtnemo.checkpoint.family.releases import find_release
from trtnemo.checkpoint.family.tools.known import refuse_gguf
from trtnemo.checkpoint.family.unrecorded import explained
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.hub.source import SMALL_FILES, fetch_snapshot, find_directory, local_directory, require_config
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object
from trtnemo.plan.weights import TensorClasses, tensor_classes


@dataclass(frozen=True)
class Network:
    """Config and quantization map, where they are from, and whether the map is inferred."""

    name: str
    config: ModelConfig
    quantization: QuantizationMap
    source: str
    inferred: bool = False

    @cached_property
    def tensors(self) -> TensorClasses:
        """Every tensor of the checkpoint, those stored alike as one class; raises CheckpointError."""
        with paused_collector():
            classes = tensor_classes(self.config, self.quantization)
        formats = {item.weight_format for item, _ in classes} - {None, WeightFormat.PLAIN}
        if self.quantization.tool is not None and not formats:
            raise CheckpointError(
                f"says its weights are {self.quantization.tool.title}, and no layer of this network is meant",
                where=self.quantization.source,
                remedy="Compare its targets with the names of the tensors",
            )
        return classes


def find_network(name: str, revision: str | None = None) -> Network:
    """Return a checkpoint's network by its directory, hub id or `tiny`; raises CheckpointError.

    A released model without a pinned revision is taken from trtnemo's own copy of its json files, so that a plan needs
    no network connection; another hub id's json files are fetched.
    """
    release = find_release(name) if revision is None else None
    directory = local_directory(name) if release is not None else find_directory(name)
    if directory is not None:
        return _from_directory(name, directory, str(directory))
    if release is not None:
        return _released(name)
    return _from_directory(name, _small_files(name, revision), "the hub")


def _small_files(name: str, revision: str | None) -> Path:
    """Return the directory of a hub id's json files; raises CheckpointError where the hub has no checkpoint there."""
    try:
        directory = fetch_snapshot(name, revision, SMALL_FILES)
    except CheckpointError as error:
        raise explained(name, error) from None
    if not (directory / "config.json").is_file():
        from trtnemo.checkpoint.hub.client import list_hub  # brings the HTTP client

        refuse_gguf(list_hub(name, revision).files, name)
        raise CheckpointError(
            "the hub has no config.json of it: it holds no checkpoint", where=name, remedy="Name the model's repository"
        )
    return directory


@cache
def _released(name: str) -> Network:
    """Return a released model's network, made once: its tensors are counted by the hundred thousand."""
    release = find_release(name)
    if release is None:
        raise CheckpointError(f"{name!r} is no released model")
    source = "trtnemo's copy of the released json files"
    if release.inferred:
        source += "; its quantization map is not published and follows a rule (inferred)"
    return Network(name, release.config, release.quantization, source, release.inferred)


def _from_directory(name: str, directory: Path, source: str) -> Network:
    refuse_gguf((path.name for path in directory.iterdir()), str(directory))
    require_config(directory)
    raw = read_json_object(directory / "config.json")
    config = parse_config(raw, str(directory / "config.json"))
    quantization = read_quantization(directory, raw)
    tool = quantization.tool
    return Network(name, config, quantization, source if tool is None else f"{source}; weights: {tool.title}")

"""An adapter that is opened: for each weight of the base, the two matrices whose product is added to it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from trtnemo.checkpoint.format.header import read_header
from trtnemo.checkpoint.format.storage import PLAIN, TensorInfo
from trtnemo.checkpoint.rewrite.merging.names import AdapterName, read_name
from trtnemo.checkpoint.rewrite.merging.settings import AdapterSettings, read_settings
from trtnemo.errors import CheckpointError

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Pair:
    """The two matrices of one wrapper around a module, and the lengths of its rows where they were trained (DoRA).

    Shapes: a [rank, inputs], b [outputs, rank]; of fused experts a [experts * rank, inputs], b [outputs, rank *
    experts]; of an embedding the inputs are its rows.
    """

    name: AdapterName
    a: TensorInfo
    b: TensorInfo
    is_embedding: bool = False
    magnitude: TensorInfo | None = None


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: its pairs, and whole tensors that take the place of the base's, by the base's name."""

    directory: Path
    settings: AdapterSettings
    pairs: tuple[Pair, ...]
    replaced: dict[str, TensorInfo]

    @property
    def file(self) -> Path:
        """The file that holds its weights."""
        return self.directory / WEIGHTS


def open_adapter(directory: Path) -> Adapter:
    """Return an adapter; raises CheckpointError for one that is no LoRA, or whose tensors do not belong together."""
    settings = read_settings(directory)
    file = directory / WEIGHTS
    if not file.is_file():
        remedy = None
        parts = sorted(directory.glob("adapter_model*.safetensors"))
        if parts:
            remedy = f"It is in parts ({parts[0].name}, ...): save it in one file, by max_shard_size"
        elif (directory / "adapter_model.bin").is_file():
            remedy = "adapter_model.bin is a pickle, which is not read: save it again with safe_serialization=True"
        raise CheckpointError(f"has no {WEIGHTS}", where=str(directory), remedy=remedy)
    wrappers: dict[tuple[str, int], dict[str, tuple[AdapterName, TensorInfo]]] = defaultdict(dict)
    replaced: dict[str, TensorInfo] = {}
    for info in read_header(file).values():
        if info.storage not in PLAIN:
            raise CheckpointError(f"is {info.storage.value}, not BF16, F16 or F32", where=f"{file}: {info.name}")
        name = read_name(info.name)
        if name.kind is not None and not info.elements:
            continue  # some trainers write empty matrices for projections that this family has not
        matrices = wrappers[name.trained, name.depth] if name.kind is not None else {}
        if name.tensor in replaced if name.kind is None else name.kind in matrices:
            raise CheckpointError(f"names {name.trained} twice, the second time as {info.name}", where=str(file),
                                  remedy="Save one adapter alone")  # fmt: skip
        if name.kind is None:
            replaced[name.tensor] = info
        else:
            matrices[name.kind] = (name, info)
    if not wrappers and not replaced:
        raise CheckpointError("holds no tensors", where=str(file))
    pairs = tuple(_pair(settings, matrices, file) for matrices in wrappers.values())
    return Adapter(directory, settings, pairs, replaced)


def _pair(settings: AdapterSettings, matrices: dict[str, tuple[AdapterName, TensorInfo]], file: Path) -> Pair:
    name = next(iter(matrices.values()))[0]
    is_embedding = "lora_embedding_A" in matrices or "lora_embedding_B" in matrices
    kinds = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A", "lora_B")
    for kind in kinds:
        if kind not in matrices:
            raise CheckpointError(f"{name.trained} has no {kind}", where=str(file))
    (_, a), (_, b) = (matrices[kind] for kind in kinds)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise CheckpointError(
            f"{name.trained} has matrices {list(a.shape)} and {list(b.shape)}, which are no pair",
            where=str(file),
            remedy="The adapter is damaged, or the layer is a convolution, which is not merged here",
        )
    magnitude = matrices.get("lora_magnitude_vector")
    if (magnitude is not None) != settings.use_dora:
        raise CheckpointError(f"use_dora is {settings.use_dora}, and {name.trained} says otherwise", where=str(file))
    if magnitude is not None and is_embedding:
        raise CheckpointError(f"{name.trained} is an embedding trained by DoRA, which is not merged here",
                              where=str(file), remedy="Merge it with PEFT")  # fmt: skip
    return Pair(name, a, b, is_embedding, None if magnitude is None else magnitude[1])

"""Write a corrected copy of a checkpoint: json files made right, weights linked, nothing of them rewritten."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.headers import INDEX, SINGLE
from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.checkpoint.format.writing import copy_text_files, write_safetensors
from trtnemo.checkpoint.rewrite.repair_config import (
    PRODUCER,
    Layers,
    has_kv_scales,
    repaired_block,
    repaired_config,
    repaired_layers,
)
from trtnemo.errors import CheckpointError
from trtnemo.files.json_file import read_json_object, write_json
from trtnemo.files.staging import refuse_own_place, staged_directory

HEAD = "model-mtp.safetensors"
QUANTIZATION = "hf_quant_config.json"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")


@dataclass(frozen=True)
class Repair:
    """What was wrong before, what the written copy is still found wrong with, and which rules are mended."""

    before: AuditReport
    after: AuditReport

    @property
    def mended(self) -> list[str]:
        """The rules that found something before and find nothing now, in the order of their first finding."""
        left = {finding.rule for finding in self.after.findings}
        return [rule for rule in dict.fromkeys(finding.rule for finding in self.before.findings) if rule not in left]


def repair_checkpoint(
    checkpoint: Checkpoint, output: Path, source: Checkpoint | None = None, *, force: bool = False, values: bool = True
) -> Repair:
    """Write a corrected copy of `checkpoint` to `output`, atomically, and audit both.

    `source` is the BF16 original: an MTP head, tokenizer and template that are missing are taken from it. Weights are
    hard links, or symbolic ones where the file system has no others. The quantization block of another tool than
    ModelOpt stays as it is, and gets no head. Raises CheckpointError.
    """
    _refuse_own_place(checkpoint, output, source)
    before = audit(checkpoint, values=values)
    rules = {finding.rule for finding in before.findings}
    # another tool's config would take a head of plain weights for quantized
    head = _head(checkpoint, source) if "mtp-missing" in rules and checkpoint.quantization.tool is None else {}
    with staged_directory(output, force, "config.json", CheckpointError) as new:
        _copy_small_files(checkpoint.directory, new)
        if source is not None:
            copy_text_files(source.directory, new)
        layers = repaired_layers(checkpoint, rules)
        write_json(new / "config.json", repaired_config(checkpoint, rules, layers, keeps_head=bool(head)))
        _write_quantization(checkpoint, layers, new)
        forgotten = {finding.subject for finding in before.findings if finding.rule == "index-incomplete"}
        found_again = {name: info for name, info in checkpoint.headers.unlisted.items() if name in forgotten}
        _link_weights({**checkpoint.tensors, **found_again}, head, new)
    return Repair(before, audit(Checkpoint.survey(output), values=values))


def _refuse_own_place(checkpoint: Checkpoint, output: Path, source: Checkpoint | None) -> None:
    """Raise where the copy would replace what it is made of, or only headers are here."""
    if checkpoint.listing is not None:
        raise CheckpointError(
            "only its headers were fetched", where=checkpoint.place, remedy="`trtnemo fetch --anyway` has all"
        )
    read = [one.directory for one in (checkpoint, source) if one is not None]
    refuse_own_place(output, read, CheckpointError)


def _head(checkpoint: Checkpoint, source: Checkpoint | None) -> dict[str, TensorInfo]:
    """Return the MTP tensors of the source; raises CheckpointError where it is another network's."""
    if source is None:
        return {}
    head = {name: info for name, info in source.tensors.items() if name.startswith("mtp.")}
    if not head:
        raise CheckpointError("has no mtp.* tensors to carry over", where=str(source.directory))
    if source.config.model_copy(update={"dtype": checkpoint.config.dtype}) != checkpoint.config:
        raise CheckpointError("describes another network than the checkpoint to repair", where=str(source.directory))
    return head


def _copy_small_files(directory: Path, new: Path) -> None:
    """Copy all that is not a weight file: tokenizers and the code that config.json names among it."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.suffix not in _WEIGHTS and path.name != INDEX:
            shutil.copyfile(path, new / path.name)


def _write_quantization(checkpoint: Checkpoint, layers: Layers | None, new: Path) -> None:
    """Write hf_quant_config.json again where it is there, or where weights are quantized and no map says so.

    Where nothing is quantized and a map says otherwise, there is none in the copy.
    """
    path, has_head = checkpoint.directory / QUANTIZATION, checkpoint.config.has_mtp
    if layers == {}:
        (new / QUANTIZATION).unlink(missing_ok=True)
    elif path.is_file():
        content = read_json_object(path)
        block = content.get("quantization")
        block = block if isinstance(block, dict) else {}
        content["quantization"] = repaired_block(block, layers, "exclude_modules", has_head=has_head)
        write_json(new / QUANTIZATION, content)
    elif layers and not checkpoint.quantizations:
        block = {"kv_cache_quant_algo": "FP8" if has_kv_scales(checkpoint) else None}
        quantization = repaired_block(block, layers, "exclude_modules", has_head=has_head)
        write_json(new / QUANTIZATION, {"producer": PRODUCER, "quantization": quantization})


def _link_weights(tensors: dict[str, TensorInfo], head: dict[str, TensorInfo], new: Path) -> None:
    """Link the shards, write the head into one of its own, and write the index."""
    places = {name: (Path(info.file).name, info.size) for name, info in tensors.items()}
    for file in dict.fromkeys(info.file for info in tensors.values()):
        _link(Path(file).resolve(), new / Path(file).name)
    if head:
        # never through a link: a shard of this name is the original's own
        own = next(name for name in _head_names() if not (new / name).exists())
        write_safetensors(new / own, head)
        places |= {name: (own, info.size) for name, info in head.items()}
    if {file for file, _ in places.values()} == {SINGLE}:
        return
    weight_map = {name: file for name, (file, _) in sorted(places.items())}
    total = sum(size for _, size in places.values())
    write_json(new / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _head_names() -> Iterator[str]:
    yield HEAD
    yield from (f"model-mtp-{number}.safetensors" for number in itertools.count(2))


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        target.symlink_to(path)

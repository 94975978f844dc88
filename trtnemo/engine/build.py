"""From a recipe to an engine directory."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from trtnemo.backends.cpu.packed import LAYOUT as PACKED
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.plans import build_plans, place_plans, unfinished_plans
from trtnemo.checkpoint import AuditReport, Checkpoint, audit
from trtnemo.checkpoint.format.headers import INDEX
from trtnemo.engine.manifest import FORMAT_VERSION, MANIFEST, CheckpointRecord, FileRecord, Manifest, hash_file
from trtnemo.engine.own import OwnRecipe, require_own, require_torch_fields
from trtnemo.errors import CheckpointError, EngineError, MachineError, RecipeError
from trtnemo.files.staging import check_output, staged_directory
from trtnemo.graph import Graph
from trtnemo.native import find_native, require_native
from trtnemo.network import NemotronH
from trtnemo.recipe import AnyRecipe, CpuRecipe, TensorrtRecipe

HUB: Literal["hub-v1"] = "hub-v1"
TOKENIZER = "tokenizer"
GRAPH = "graph.json"
_CONFIG_FILES = ("config.json", "hf_quant_config.json", INDEX)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
)
# called with (what is being done, bytes done, bytes in all; 0 where that is not known)
Progress = Callable[[str, int, int], None]
Graphs = dict[str, Graph | None]


def build_engine(
    recipe: AnyRecipe, recipe_name: str, output: Path, *, force: bool = False, progress: Progress | None = None
) -> Manifest:
    """Write the engine of a recipe to `output`, atomically, and return its manifest.

    Plans that an interrupted build had finished are taken over.

    Raises RecipeError, CheckpointError, EngineError (output in the way) or MachineError (no such builder, disk full).
    """
    own = require_own(recipe)
    layout = choose_layout(own)
    report_progress = progress or (lambda what, done, total: None)
    check_output(output, force, MANIFEST, EngineError)
    checkpoint = Checkpoint.open(recipe.checkpoint, recipe.revision)
    if recipe.speculation.draft_tokens and not checkpoint.config.has_mtp:
        raise RecipeError(
            "'speculation.draft_tokens' needs an MTP head, which this checkpoint has not",
            where=str(checkpoint.directory),
            remedy="Set it to 0",
        )
    report = audit(checkpoint)
    report.require()
    if not (checkpoint.directory / "tokenizer.json").is_file():
        raise CheckpointError("has no tokenizer.json", where=str(checkpoint.directory))
    graphs = _record_graphs(checkpoint, own)
    _check_disk(output, checkpoint.total_bytes)
    with ExitStack() as stack:
        index, kept = None, None
        if isinstance(own, TensorrtRecipe):
            kept = stack.enter_context(unfinished_plans(output))
            index = build_plans(own, checkpoint, _plan_graphs(own, graphs), kept, report_progress)
        staging = stack.enter_context(staged_directory(output, force, MANIFEST, EngineError))
        recorded = {name: graph.to_json() if graph else None for name, graph in graphs.items()}
        (staging / GRAPH).write_text(json.dumps(recorded), encoding="utf-8")
        if index is not None and kept is not None:
            place_plans(index, kept, staging)
        _write_weights(checkpoint, graphs, staging / layout, report_progress)
        _copy_small(checkpoint, _TOKENIZER_FILES, staging / TOKENIZER)
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            runtime=own.runtime,
            layout=layout,
            recipe_name=recipe_name,
            recipe=own.model_dump(mode="json"),
            checkpoint=checkpoint_record(recipe, report),
            versions=tool_versions() | _builder_version(index),
            files=hash_all(staging),
        ).sealed()
        (staging / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def _plan_graphs(recipe: TensorrtRecipe, graphs: Graphs) -> list[Graph]:
    wanted = [graphs["target"], graphs["mtp"] if recipe.speculation.draft_tokens else None]
    return [graph for graph in wanted if graph is not None]


def _builder_version(index: PlanIndex | None) -> dict[str, str]:
    return {} if index is None else {f"tensorrt ({index.flavor})": index.version}


def _record_graphs(checkpoint: Checkpoint, recipe: OwnRecipe) -> Graphs:
    compute = recipe.tensorrt.compute if isinstance(recipe, TensorrtRecipe) else "weight_only"
    model = NemotronH.from_checkpoint(checkpoint, compute)
    return {"target": model.record_target(), "mtp": model.record_mtp() if checkpoint.config.has_mtp else None}


def _check_disk(output: Path, needed: int) -> None:
    existing = next((parent for parent in output.absolute().parents if parent.exists()), None)
    if existing is not None and shutil.disk_usage(existing).free < needed + (64 << 20):
        free = shutil.disk_usage(existing).free
        raise MachineError(f"the engine needs {needed:,} bytes of disk, {free:,} are free", where=str(existing))


def choose_layout(recipe: OwnRecipe) -> Literal["hub-v1", "cpu-v1"]:
    """Return how an engine's weights lie: packed for the native CPU runtime, or as in the hub.

    Raises MachineError without the compiled runtime, RecipeError on what torch does not do in its place.
    """
    if not isinstance(recipe, CpuRecipe):
        return HUB
    if recipe.cpu.lowering == "native":
        require_native()
    if recipe.cpu.lowering != "torch" and find_native() is not None:
        return PACKED
    require_torch_fields(recipe)
    return HUB


def _write_weights(checkpoint: Checkpoint, graphs: Graphs, directory: Path, progress: Progress) -> None:
    directory.mkdir()
    _copy_small(checkpoint, _CONFIG_FILES if directory.name == HUB else ("config.json",), directory)
    if directory.name == PACKED:
        recorded = [graph for graph in graphs.values() if graph is not None]
        pack_weights(checkpoint, recorded, directory, lambda done, total: progress("packing weights", done, total))
        progress("writing the manifest", 0, 0)
        return
    done, total = 0, sum(shard.stat().st_size for shard in checkpoint.shards)
    for shard in checkpoint.shards:
        progress(f"copying {shard.name}", done, total)
        shutil.copyfile(shard, directory / shard.name)
        done += shard.stat().st_size
    progress("writing the manifest", done, total)


def _copy_small(checkpoint: Checkpoint, names: Sequence[str], directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        if (checkpoint.directory / name).is_file():
            shutil.copyfile(checkpoint.directory / name, directory / name)


def hash_all(staging: Path) -> dict[str, FileRecord]:
    """Return size and digest of every file below a directory, by its path from there."""
    files = sorted(path for path in staging.rglob("*") if path.is_file())
    return {path.relative_to(staging).as_posix(): hash_file(path) for path in files}


def checkpoint_record(recipe: AnyRecipe, report: AuditReport) -> CheckpointRecord:
    """Return what a manifest says of an audited checkpoint."""
    return CheckpointRecord(
        name=recipe.checkpoint,
        revision=recipe.revision,
        producer=report.producer,
        formats=report.formats,
        tensors=report.tensors,
        bytes=report.bytes,
    )


def tool_versions() -> dict[str, str]:
    """Return the versions of what an engine was built with."""
    versions = {"python": platform.python_version()}
    for package in ("trtnemo", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions

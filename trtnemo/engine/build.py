"""From a recipe to an engine directory."""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from trtnemo.backends.runtime import Progress, copy_small, find_runtime
from trtnemo.checkpoint import AuditReport, Checkpoint, audit
from trtnemo.engine.manifest import FORMAT_VERSION, MANIFEST, CheckpointRecord, FileRecord, Manifest, hash_file
from trtnemo.engine.own import require_own
from trtnemo.errors import CheckpointError, EngineError, MachineError, RecipeError
from trtnemo.files.staging import check_output, staged_directory
from trtnemo.graph import Graph
from trtnemo.network import NemotronH
from trtnemo.recipe import AnyRecipe

TOKENIZER = "tokenizer"
GRAPH = "graph.json"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
)


def build_engine(
    recipe: AnyRecipe, recipe_name: str, output: Path, *, force: bool = False, progress: Progress | None = None
) -> Manifest:
    """Write the engine of a recipe to `output`, atomically, and return its manifest.

    Plans that an interrupted build had finished are taken over.

    Raises RecipeError, CheckpointError, EngineError (output in the way) or MachineError (no such builder, disk full).
    """
    own = require_own(recipe)
    runtime = find_runtime(own.runtime)
    runtime.check(own)
    layout = runtime.layout(own)
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
    graphs = _record_graphs(checkpoint, runtime.compute(own))
    _check_disk(output, checkpoint.total_bytes)
    with (
        runtime.prepared(own, checkpoint, graphs, output, report_progress) as prepared,
        staged_directory(output, force, MANIFEST, EngineError) as staging,
    ):
        recorded = {name: graph.to_json() if graph else None for name, graph in graphs.items()}
        (staging / GRAPH).write_text(json.dumps(recorded), encoding="utf-8")
        prepared.place(staging)
        (staging / layout).mkdir()
        runtime.write_weights(checkpoint, graphs, staging / layout, report_progress)
        copy_small(checkpoint, _TOKENIZER_FILES, staging / TOKENIZER)
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            runtime=own.runtime,
            layout=layout,
            recipe_name=recipe_name,
            recipe=own.model_dump(mode="json"),
            checkpoint=checkpoint_record(recipe, report),
            versions=tool_versions() | prepared.versions,
            files=hash_all(staging),
        ).sealed()
        (staging / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def _record_graphs(checkpoint: Checkpoint, compute: Literal["weight_only", "native"]) -> dict[str, Graph | None]:
    model = NemotronH.from_checkpoint(checkpoint, compute)
    return {"target": model.record_target(), "mtp": model.record_mtp() if checkpoint.config.has_mtp else None}


def _check_disk(output: Path, needed: int) -> None:
    existing = next((parent for parent in output.absolute().parents if parent.exists()), None)
    if existing is not None and shutil.disk_usage(existing).free < needed + (64 << 20):
        free = shutil.disk_usage(existing).free
        raise MachineError(f"the engine needs {needed:,} bytes of disk, {free:,} are free", where=str(existing))


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

"""An engine directory, opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trtnemo.backends.runtime import HUB
from trtnemo.checkpoint import Checkpoint
from trtnemo.engine.build import GRAPH, TOKENIZER
from trtnemo.engine.manifest import BundleManifest, Manifest, SealedManifest, hash_file, read_manifest
from trtnemo.errors import EngineError
from trtnemo.files.json_file import read_json_object
from trtnemo.graph import Graph
from trtnemo.recipe import AnyRecipe
from trtnemo.recipe.load import load_recorded
from trtnemo.validation import first_fault

# Files up to this size are hashed at every start; larger ones are compared by size.
SMALL_FILE = 8 << 20


class Engine:
    """An opened engine: its manifest, recipe and graphs; weights are read by the executor.

    Attributes: `directory`, `manifest`, `recipe`, `target` and `mtp` graphs (`mtp` is None without a draft head).
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        try:
            self.recipe: AnyRecipe = load_recorded(manifest.recipe)
        except ValidationError as error:
            fault = first_fault(error)
            field = ".".join(map(str, fault.path[1:]))
            raise EngineError(
                f"was built from a recipe that this version does not read: {field}: {fault.message}",
                where=str(directory),
                remedy="Rebuild the engine",
            ) from None
        graphs = json.loads((directory / GRAPH).read_text(encoding="utf-8"))
        self.target = Graph.from_json(graphs["target"])
        self.mtp = Graph.from_json(graphs["mtp"]) if graphs["mtp"] else None

    @classmethod
    def open(cls, directory: Path) -> Engine:
        """Open an engine; checks digests of small files and sizes of all. Raises EngineError."""
        manifest = read_manifest(directory)
        if isinstance(manifest, BundleManifest):
            raise EngineError(
                f"is a bundle for {manifest.runtime}, which our own runtime does not serve",
                where=str(directory),
                remedy="`trtnemo serve --engine` starts its server",
            )
        problems = verify_files(directory, manifest, thorough=False)
        if problems:
            raise EngineError(problems[0], where=str(directory), remedy="Rebuild the engine")
        return cls(directory, manifest)

    @property
    def drafter(self) -> Graph | None:
        """The MTP graph where the recipe drafts; else it stays on disk, for its cache costs a pass over a prompt."""
        return self.mtp if self.recipe.speculation.draft_tokens else None

    @property
    def weights_directory(self) -> Path:
        """Where the weights are, whatever their layout."""
        return self.directory / self.manifest.layout

    @property
    def is_packed(self) -> bool:
        """Whether the weights are packed for the native CPU runtime."""
        return self.manifest.layout != HUB

    @property
    def vocab_size(self) -> int:
        """Tokens that the network knows."""
        return self.target.values[self.target.outputs["logits"]].width

    def raw_config(self) -> dict[str, Any]:
        """Return the checkpoint's config.json as it stands."""
        return read_json_object(self.weights_directory / "config.json")

    def checkpoint(self) -> Checkpoint:
        """Return the weights in the hub's layout; raises EngineError where they are packed."""
        if self.is_packed:
            raise EngineError(
                "holds packed weights, which can no longer be read as a checkpoint",
                where=str(self.directory),
                remedy="Build it with --set cpu.lowering=torch",
            )
        return Checkpoint.open(self.weights_directory)

    @property
    def tokenizer_directory(self) -> Path:
        """Where the tokenizer files are."""
        return self.directory / TOKENIZER


def verify_files(directory: Path, manifest: SealedManifest, *, thorough: bool) -> list[str]:
    """Return what is wrong with the engine's files; `thorough` hashes the large ones too."""
    problems = []
    for name, record in manifest.files.items():
        path = directory / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != record.size:
            problems.append(f"{name} has {path.stat().st_size} bytes, not the {record.size} of the build")
        elif (thorough or record.size <= SMALL_FILE) and hash_file(path) != record:
            problems.append(f"{name} was changed after the build")
    present = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    problems += [
        f"{name} is not part of the build" for name in sorted(present - manifest.files.keys() - {"engine.json"})
    ]
    return problems

"""engine.json: what an engine is made of, with a digest of every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from trtnemo.engine.mistaken import not_an_engine
from trtnemo.errors import EngineError
from trtnemo.files.digest import file_sha256
from trtnemo.recipe.external import EXTERNAL
from trtnemo.validation import first_fault

FORMAT_VERSION = 1
MANIFEST = "engine.json"
Sealed = TypeVar("Sealed", bound="SealedManifest")
_LATER_FIELDS = {"docker"}


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class CheckpointRecord(BaseModel):
    """Where the weights came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    revision: str | None
    producer: str | None
    formats: dict[str, int]
    tensors: int
    bytes: int


class CheckpointReference(BaseModel):
    """Weights that a bundle only names: where they are, and whether their headers were audited when it was built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    revision: str | None
    audited: bool
    reason: str = ""
    record: CheckpointRecord | None = None


class SealedManifest(BaseModel):
    """What every engine.json holds; `digest` covers all other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    runtime: str
    layout: str
    recipe_name: str
    recipe: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, FileRecord]
    digest: str = ""

    def sealed(self: Sealed) -> Sealed:
        """Return the manifest with its digest filled in."""
        return self.model_copy(update={"digest": self.compute_digest()})

    def compute_digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of all fields but the digest."""
        data = self.model_dump(mode="json", exclude={"digest"})
        # a field that older manifests lack must not change their digests
        data = {key: value for key, value in data.items() if key not in _LATER_FIELDS or value is not None}
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Manifest(SealedManifest):
    """The manifest of an engine that one of our own runtimes serves."""

    runtime: Literal["cpu", "tensorrt", "cuda"]
    layout: Literal["hub-v1", "cpu-v1"]
    checkpoint: CheckpointRecord


class BundleManifest(SealedManifest):
    """The manifest of a sealed bundle: how an external server is started, and with which checkpoint.

    `command` holds the words for a program on this machine, `container` those after the image, `docker` the whole
    `docker run` (absent in bundles of 0.1.0); `env` the variables, null for those passed on by name; `checked_against`
    the record that the words were compared with.
    """

    runtime: str
    layout: Literal["bundle-v1"]
    checkpoint: CheckpointReference
    server_version: str | None
    image: str | None
    command: list[str]
    container: list[str]
    docker: list[str] | None = None
    env: dict[str, str | None]
    checked_against: str
    findings: list[dict[str, str]]


AnyManifest = Manifest | BundleManifest


def read_manifest(directory: Path) -> AnyManifest:
    """Return the manifest of an engine directory, digest checked; raises EngineError."""
    path = directory / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise not_an_engine(directory, MANIFEST) from None
    except OSError as error:
        raise EngineError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise EngineError(f"cannot be read: {error}", where=str(path), remedy="Rebuild the engine") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise EngineError(
            f"engine format {version!r}; this version reads {FORMAT_VERSION}",
            where=str(path),
            remedy="Rebuild the engine",
        )
    try:
        kind = BundleManifest if data.get("runtime") in EXTERNAL else Manifest
        manifest: AnyManifest = kind.model_validate(data)
    except ValidationError as error:
        fault = first_fault(error)
        raise EngineError(f"{fault.key}: {fault.message}", where=str(path), remedy="Rebuild the engine") from None
    if manifest.digest != manifest.compute_digest():
        raise EngineError(
            "was edited after the build: its digest does not match",
            where=str(path),
            remedy="Change the recipe and rebuild instead",
        )
    return manifest


def hash_file(path: Path) -> FileRecord:
    """Return size and SHA-256 of a file."""
    return FileRecord(size=path.stat().st_size, sha256=file_sha256(path))

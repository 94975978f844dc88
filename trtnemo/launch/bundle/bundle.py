"""A sealed bundle: everything that starts an external server, but the weights, with a digest of every file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.engine.build import checkpoint_record, hash_all, tool_versions
from trtnemo.engine.manifest import FORMAT_VERSION, MANIFEST, BundleManifest, CheckpointReference
from trtnemo.errors import CheckpointError, EngineError, RecipeError
from trtnemo.files.staging import check_output, staged_directory
from trtnemo.findings import errors
from trtnemo.launch.bundle.sealed import bundled
from trtnemo.launch.check import LaunchReport, check_recipe
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.render.forms.docker import container_words, docker_words
from trtnemo.launch.render.words import file_text, server_words
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.recipe import AnyRecipe


def build_bundle(recipe: AnyRecipe, recipe_name: str, output: Path, *, force: bool = False) -> BundleManifest:
    """Write the bundle of a recipe to `output`, atomically, and return its manifest.

    Raises RecipeError where the server would refuse the recipe, CheckpointError where the checkpoint can be read and is
    not fit, EngineError where `output` is in the way.
    """
    check_output(output, force, MANIFEST, EngineError)
    invocation = to_invocation(recipe)
    report = require_accepted(invocation, recipe)
    reference = audit_reference(recipe)
    with staged_directory(output, force, MANIFEST, EngineError) as staging:
        _write_files(invocation, staging)
        manifest = BundleManifest.model_validate(
            {
                "format_version": FORMAT_VERSION,
                "runtime": recipe.runtime,
                "layout": "bundle-v1",
                "recipe_name": recipe_name,
                "recipe": recipe.model_dump(mode="json", exclude_unset=True),
                "checkpoint": reference.model_dump(),
                "server_version": invocation.version,
                "image": invocation.container.image if invocation.container else None,
                "command": server_words(invocation, bundled),
                "container": container_words(invocation) if invocation.container else [],
                "docker": docker_words(invocation) if _runs_in_docker(invocation) else None,
                "env": dict(invocation.env),
                "checked_against": report.checked_against,
                "findings": [dataclasses.asdict(finding) for finding in report.findings],
                "versions": tool_versions(),
                "files": {name: record.model_dump() for name, record in hash_all(staging).items()},
            }
        ).sealed()
        (staging / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def require_accepted(invocation: Invocation, recipe: AnyRecipe) -> LaunchReport:
    """Return the check's report; raises RecipeError for the first finding that stops the server."""
    report = check_recipe(invocation, recipe)
    stopping = errors(report.findings)
    if stopping:
        first, more = stopping[0], len(stopping) - 1
        rest = f" (and {more} more)" if more else ""
        raise RecipeError(
            f"{first.subject}: {first.message}{rest}",
            remedy=first.remedy or "`trtnemo check --recipe` lists everything",
        )
    return report


def audit_reference(recipe: AnyRecipe) -> CheckpointReference:
    """Return the checkpoint as a reference: its headers audited where they can be read, and if not, why.

    A hub id that is not in the cache is audited by range requests on its headers. Raises CheckpointError where it was
    read and is not fit to serve, or a local directory cannot be read.
    """
    name, revision = recipe.checkpoint, recipe.revision
    try:
        checkpoint = Checkpoint.survey(name, revision)
    except CheckpointError as error:
        if is_local(name):
            raise
        return CheckpointReference(name=name, revision=revision, audited=False, reason=error.what)
    report = audit(checkpoint, values=False)
    report.require()
    return CheckpointReference(name=name, revision=revision, audited=True, record=checkpoint_record(recipe, report))


def is_local(name: str) -> bool:
    """Return whether a checkpoint's name is this machine's own."""
    return name == "tiny" or Path(name).expanduser().exists() or name.startswith(("/", ".", "~"))


def _write_files(invocation: Invocation, staging: Path) -> None:
    for file in invocation.files:
        (staging / file.name).write_text(file_text(file, invocation), encoding="utf-8")


def _runs_in_docker(invocation: Invocation) -> bool:
    """Return whether docker can start it: an image is named, and a container can see the checkpoint's path."""
    return invocation.container is not None and not invocation.model.startswith((".", "~"))

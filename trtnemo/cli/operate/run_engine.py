"""The engine that `trtnemo run` serves: what is missing is downloaded, audited and built, once."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.views.progress import byte_progress
from trtnemo.errors import EngineError

if TYPE_CHECKING:
    from trtnemo.launch.chosen import Chosen


def engine_of(chosen: Chosen) -> Path:
    """Return the engine of a choice, made where it is not in the cache.

    Raises CheckpointError, and MachineError where the disk is too small for download or engine, or not to be written.
    """
    from trtnemo.engine.build import build_engine
    from trtnemo.engine.manifest import read_manifest
    from trtnemo.files.cache_home import require_engines_home
    from trtnemo.recipe.placed import without_placed

    require_engines_home()  # a download of hours would end at a place for engines that is none
    directory = _fetched(chosen)
    output = _place(chosen, directory)
    if output.exists():
        try:
            read_manifest(output)
        except EngineError as error:
            click.echo(f"the engine in the cache is built again: {error.what}", err=True)
        else:
            return output
    began = time.monotonic()
    click.echo(f"building {output.name}", err=True)
    recipe = without_placed(chosen.recipe).model_copy(update={"checkpoint": str(directory), "revision": None})
    with byte_progress() as progress:
        build_engine(recipe, chosen.name, output, force=True, progress=progress)
    click.echo(f"built in {time.monotonic() - began:.0f} s", err=True)
    return output


def _fetched(chosen: Chosen) -> Path:
    """Return the checkpoint's directory; a hub id that is not here is downloaded, audited before and after."""
    from trtnemo.checkpoint.fetch import fetch_checkpoint
    from trtnemo.checkpoint.hub.source import cached_snapshot, find_directory

    name, revision = chosen.recipe.checkpoint, chosen.recipe.revision
    directory = find_directory(name) or cached_snapshot(name, revision)
    if directory is not None:
        return directory.resolve()
    click.echo(f"downloading {name}", err=True)
    fetched = fetch_checkpoint(name, revision)
    fetched.report.require()
    return fetched.directory


def _place(chosen: Chosen, directory: Path) -> Path:
    """Return where an engine lies: by the model's name, and by all that decides what it is."""
    from trtnemo.files.cache_home import engines_home
    from trtnemo.recipe.placed import without_placed

    shards = sorted(directory.glob("*.safetensors"))
    states = [[path.name, (stat := path.stat()).st_size, stat.st_mtime_ns] for path in shards]
    known = [without_placed(chosen.recipe).model_dump(mode="json"), str(directory), states]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]
    return engines_home() / f"{_file_name(chosen.recipe.checkpoint)}-{digest}"


def _file_name(name: str) -> str:
    """Return the last part of a checkpoint's name as a file may have it."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", Path(name).name).strip("-.") or "model"

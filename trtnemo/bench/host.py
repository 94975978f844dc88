"""What a run measures: an address that somebody serves, or a recipe that is served as long as it takes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trtnemo.bench.folder import write_whole
from trtnemo.bench.load.run import Predict, Target
from trtnemo.bench.predict import plan_of, predictor
from trtnemo.endpoint import base_url, serving, shown
from trtnemo.engine.manifest import MANIFEST, read_manifest
from trtnemo.errors import EngineError, ServerError, TrtnemoError, UsageError
from trtnemo.files.digest import code_digest, file_sha256
from trtnemo.recipe import AnyRecipe, load_recipe


@dataclass(frozen=True)
class Hosted:
    """Something that answers: where, and of which recipe where that is known."""

    target: Target
    recipe: AnyRecipe | None = None

    @cached_property
    def predict(self) -> Predict | None:
        """The plan's bound, of a recipe that can be planned; seconds of measuring on a CPU, the first time."""
        if self.recipe is None:
            return None
        try:
            return predictor(plan_of(self.recipe))
        except TrtnemoError:  # a run without a bound is still a run
            return None


@dataclass(frozen=True)
class Place:
    """Where to find what is measured: one of an address, a recipe and an engine.

    program: another trtnemo that builds and serves; model: name to ask for, the server's first by default; devices: of
    a server at an address or an engine, for rates by device; a recipe says its own.
    """

    url: str | None = None
    recipe: str | None = None
    engine: Path | None = None
    settings: tuple[str, ...] = ()
    model: str | None = None
    program: tuple[str, ...] = ()
    devices: int = 1

    def __post_init__(self) -> None:
        """Raise UsageError unless there is one place, and nothing that goes with another."""
        if sum(way is not None for way in (self.url, self.recipe, self.engine)) != 1:
            raise UsageError("give one of --url, --recipe and --engine")
        if self.settings and self.recipe is None:
            raise UsageError("--set changes a recipe; none is given")

    @classmethod
    def named(
        cls,
        word: str,
        *,
        settings: tuple[str, ...] = (),
        program: tuple[str, ...] = (),
        model: str | None = None,
        devices: int = 1,
    ) -> Place:
        """Return what a word names: a server's address, an engine's directory, or else a recipe.

        Raises UsageError where settings or a program are given that change nothing there.
        """
        if "://" in word:
            if settings or program:
                raise UsageError("--set and programs are for servers that are started here; this one runs", where=word)
            return cls(url=word, model=model, devices=devices)
        if is_engine(Path(word)):
            return cls(engine=Path(word), settings=settings, model=model, program=program, devices=devices)
        return cls(recipe=word, settings=settings, model=model, program=program)

    def words(self) -> list[str]:
        """Return what names a recipe or an engine to `trtnemo build` and `serve`."""
        if self.engine is not None:
            return ["--engine", str(self.engine)]
        return ["--recipe", str(self.recipe), *(word for item in self.settings for word in ("--set", item))]

    def facts(self) -> dict[str, Any]:
        """Return what distinguishes places, as JSON: a recipe by what it says now; no password of an address."""
        loaded = load_recipe(self.recipe, self.settings) if self.recipe is not None else None
        return {
            **asdict(self),
            "url": shown(self.url) if self.url is not None else None,
            "engine": str(self.engine) if self.engine is not None else None,
            "recipe_digest": recipe_digest(loaded) if loaded is not None else None,
            "program_digests": [file_sha256(Path(word)) for word in self.program if Path(word).is_file()],
        }


def is_engine(directory: Path) -> bool:
    """Return whether a directory holds an engine, of whatever version."""
    return (directory / MANIFEST).is_file()


@contextmanager
def host(place: Place) -> Iterator[Hosted]:
    """Yield what is measured, started first where it is not an address; raises UsageError, ServerError, RecipeError."""
    if place.url is not None:
        yield Hosted(Target(base_url(place.url), place.model, devices=place.devices))
        return
    loaded, engine = None, place.engine
    if place.recipe is not None:
        loaded = load_recipe(place.recipe, place.settings)
        engine = build(place.recipe, place.settings, recipe_digest(loaded), place.program)
    with serving(["--engine", str(engine)], place.program) as base:
        target = Target(
            url=base,
            model=place.model,
            recipe=place.recipe,
            settings=place.settings,
            recipe_digest=recipe_digest(loaded) if loaded else None,
            devices=loaded.hardware.count if loaded else place.devices,
        )
        yield Hosted(target, loaded)


def build(recipe: str, settings: Sequence[str], digest: str, program: Sequence[str] = ()) -> Path:
    """Return the engine of a recipe in this form, built where it is not there; raises ServerError when that fails."""
    maker = hashlib.sha256(" ".join(program).encode()).hexdigest()[:6] if program else "own"
    output = Path("engines") / f"bench-{Path(recipe).stem}-{digest[:12]}-{maker}"
    note = output.with_name(f"{output.name}.code")
    if not program and _is_current(output, note):
        return output
    words = ["build", *Place(recipe=recipe, settings=tuple(settings)).words(), "--output", str(output), "--force"]
    command = [*(program or (sys.executable, "-m", "trtnemo")), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ServerError(f"the engine of {recipe} was not built: {last.removeprefix('trtnemo: error: ')}")
    if not program:
        write_whole(note, code_digest())  # what other programs build is built anew every time
    return output


def _is_current(engine: Path, note: Path) -> bool:
    """Return whether an engine is there, whole, and built by this very code; its name says of which recipe."""
    try:
        read_manifest(engine)
        return note.read_text(encoding="utf-8") == code_digest()
    except (EngineError, OSError):
        return False


def recipe_digest(recipe: AnyRecipe) -> str:
    """Return what distinguishes two recipes, settings applied."""
    data = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()

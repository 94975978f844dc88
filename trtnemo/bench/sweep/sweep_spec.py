"""A sweep: every combination of recipe fields and load fields, or the largest load within limits of time."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from trtnemo.bench.load.prompts import read_set
from trtnemo.bench.load.shape import LoadShape
from trtnemo.errors import UsageError
from trtnemo.recipe import load_recipe
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.shared import PositiveInt, RecipePart
from trtnemo.validation import first_fault

Seconds = Annotated[float, Field(gt=0)]


class Limits(RecipePart):
    """Times that a load must keep: search the largest concurrency whose percentiles do."""

    ttft_p90: Seconds | None = Field(None, description="seconds to the first token, 90th percentile")
    ttft_p99: Seconds | None = Field(None, description="seconds to the first token, 99th percentile")
    itl_p90: Seconds | None = Field(None, description="seconds between tokens, 90th percentile")
    itl_p99: Seconds | None = Field(None, description="seconds between tokens, 99th percentile")
    most: PositiveInt = Field(256, description="largest concurrency that is tried")

    @property
    def named(self) -> dict[str, float]:
        """The limits that are set, by metric."""
        return {name: value for name, value in self if name != "most" and value is not None}

    @model_validator(mode="after")
    def _check_any(self) -> Limits:
        if not self.named:
            raise ValueError("set one of ttft_p90, ttft_p99, itl_p90, itl_p99")
        return self


class SweepSpec(RecipePart):
    """A sweep over a recipe (`recipe`) or a foreign server (`url`)."""

    recipe: str | None = Field(None, description="recipe that is served, once for each combination of `settings`")
    url: str | None = Field(None, description="server that somebody else runs; `settings` cannot change it")
    devices: PositiveInt = Field(1, description="accelerators of the server at `url`, for rates by device")
    model: str | None = Field(None, description="name to ask for; absent means the server's first")
    settings: dict[str, list[Any]] = Field(
        default_factory=dict, description="fields of the recipe, as for --set, each with its values"
    )
    load: dict[str, Any] = Field(default_factory=dict, description="the load's fields that do not change")
    grid: dict[str, list[Any]] = Field(default_factory=dict, description="fields of the load, each with its values")
    limits: Limits | None = Field(
        None, description="search the largest concurrency within these, instead of a grid of it"
    )

    @model_validator(mode="after")
    def _check_together(self) -> SweepSpec:
        if (self.recipe is None) == (self.url is None):
            raise ValueError("give one of recipe and url")
        if self.url is not None and self.settings:
            raise ValueError("settings change a recipe; a url has none")
        fields = {*self.load, *self.grid}
        for name in fields:
            if name not in LoadShape.model_fields:
                raise ValueError(f"a load has no field '{name}'{suggestion(name, LoadShape.model_fields)}")
        if self.limits is not None and fields & {"concurrency", "rate"}:
            raise ValueError("limits search the concurrency; leave concurrency and rate out")
        if self.limits is not None and "seconds" in fields:
            raise ValueError("limits are searched with a number of requests; leave seconds out")
        if both := sorted(self.load.keys() & self.grid.keys()):
            raise ValueError(f"'{both[0]}' stands in load and in grid")
        empty = [name for name, values in {**self.settings, **self.grid}.items() if not values]
        if empty:
            raise ValueError(f"'{empty[0]}' has no values")
        for name, values in {**self.settings, **self.grid}.items():
            if len({json.dumps(value, sort_keys=True, default=str) for value in values}) < len(values):
                raise ValueError(f"'{name}' has one value twice")
        return self


@dataclass(frozen=True)
class Point:
    """One combination: how the recipe is set, what load is sent, what makes it different, and of what it is a point."""

    settings: tuple[str, ...]
    shape: LoadShape
    title: str
    source: str

    @property
    def name(self) -> str:
        """A directory's name, another one for another server, recipe, load or limit."""
        data = json.dumps([self.source, self.settings, self.shape.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:12]


def load_spec(path: Path) -> SweepSpec:
    """Read a spec; raises UsageError on unknown keys, bad values, prompts that are not there, contradicting loads."""
    try:
        spec = SweepSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        for prompts in {point.shape.prompts for point in points(spec)}:
            read_set(prompts)
    except ValidationError as error:
        fault = first_fault(error)
        message = fault.message
        if fault.is_unknown_key:
            message = f"there is no such field{suggestion(str(fault.path[-1]), SweepSpec.model_fields)}"
        raise UsageError(f"{fault.key or 'the spec'}: {message}", where=str(path)) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        detail = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"cannot be read: {detail}", where=str(path)) from None
    return spec


def require_recipes(spec: SweepSpec) -> None:
    """Raise RecipeError unless every combination of settings makes a recipe."""
    if spec.recipe is not None:
        for settings in _combinations(spec.settings):
            load_recipe(spec.recipe, _as_words(settings))


def points(spec: SweepSpec) -> list[Point]:
    """Return every point, those of one server beside each other; a search has a point for each place to search at."""
    found, axes = [], {**spec.settings, **spec.grid}
    several = {name for name, values in axes.items() if len(values) > 1}
    for settings in _combinations(spec.settings):
        for changes in _combinations(spec.grid):
            start = {"concurrency": 1} if spec.limits is not None else {}
            shape = LoadShape.model_validate({**spec.load, **changes, **start})
            varied = {name: value for name, value in {**settings, **changes}.items() if name in several}
            found.append(Point(_as_words(settings), shape, _title(varied, shape), _source(spec)))
    return found


def _source(spec: SweepSpec) -> str:
    """Return all of a spec that its points have in common and that changes their results."""
    kept = spec.model_dump_json(include={"recipe", "url", "model", "limits"})
    return kept + Path(spec.recipe).read_text(encoding="utf-8") if spec.recipe and Path(spec.recipe).is_file() else kept


def _combinations(axes: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _as_words(settings: dict[str, Any]) -> tuple[str, ...]:
    """Return settings as `--set` takes them."""
    return tuple(f"{name}={json.dumps(value)}" for name, value in settings.items())


def _title(changes: dict[str, Any], shape: LoadShape) -> str:
    """Return what makes a point different, by the last part of each field's name."""
    parts = [f"{name.rpartition('.')[2]}={value}" for name, value in changes.items()]
    return ", ".join(parts) or shape.title()

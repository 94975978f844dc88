"""What one version of a server takes on its command line and in its files, as data."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from packaging.version import InvalidVersion, Version

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.option_type import CONVERTERS

SERVERS = Path(__file__).resolve().parent
# Options whose value is a secret: it would stand in every process list.
SECRET_OPTIONS = frozenset({"--api-key", "--admin-api-key", "--hf-token", "--ssl-keyfile-password"})


@dataclass(frozen=True)
class Dialect:
    """How a server is called, started and addressed, and how it reads words and variables.

    `words`: its command up to the model, which `model_option` names where it is not the next word. `image_starts_it`:
    its images bring the program themselves; `entry_image`: those that do for certain. `launcher`: the program that
    starts it on several nodes. `default_host`: where it listens by itself, None for everywhere. `file_keys`: option ->
    key of its file that says the same. `variable_prefixes`: how the names of variables begin that only this server
    reads. `parser`: click reads names as they are; argparse also takes unambiguous prefixes and splits `-x=1`.
    `rewrites`: (pattern, replacement) for words that the server changes before its parser sees them. `series`:
    releases (major, minor) whose record speaks for every version of theirs.
    """

    title: str
    words: tuple[str, ...]
    variable_prefixes: tuple[str, ...]
    model_option: str | None = None
    image_starts_it: bool = False
    entry_image: str | None = None
    launcher: str | None = None
    default_host: str | None = "localhost"
    file_keys: Mapping[str, str] = field(default_factory=dict)
    parser: Literal["argparse", "click"] = "argparse"
    dashes_for_underscores: bool = False
    dotted_objects: bool = False
    rewrites: tuple[tuple[str, str], ...] = ()
    series: tuple[tuple[int, int], ...] = ()


def dialect_of(server: str) -> Dialect:
    """Return the dialect of a server, out of its folder."""
    dialect: Dialect = importlib.import_module(f"{__package__}.{server}.dialect").DIALECT
    return dialect


@dataclass(frozen=True)
class Option:
    """One command-line option: its names, how it takes values, and which ones.

    `negatives`: those of its names that switch it off.
    """

    names: tuple[str, ...]
    kind: Literal["flag", "switch", "value", "optional", "list"]
    type: str = "str"
    choices: tuple[Any, ...] | None = None
    uncertain: tuple[Any, ...] = ()
    default: Any = None
    positional: bool = False
    required: bool = False
    repeatable: bool = False
    deprecated: bool = False
    certain: bool = True
    count: int | None = None
    negatives: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The longest name that does not switch it off, which explains itself best."""
        return max((name for name in self.names if name not in self.negatives), key=len)

    @property
    def takes_value(self) -> bool:
        """Whether a value follows."""
        return self.kind not in ("flag", "switch")


@dataclass(frozen=True)
class PartialClass:
    """What is known of the class that a backend reads the YAML file with: not all, so that unknown keys are no errors.

    `adds_to_root`: the keys of the recorded class belong to it too. `evidence`: where its fields are from.
    """

    title: str
    adds_to_root: bool
    evidence: str
    fields: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Surface:
    """The record of one version: options, classes of its YAML file, environment variables, precedence."""

    server: str
    dialect: Dialect
    version: str
    options: tuple[Option, ...]
    precedence: Literal["file", "typed"]
    evidence: str
    environment: frozenset[str]
    nested: Mapping[str, Mapping[str, Any]]
    late_choices: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, Mapping[str, Mapping[str, Any]]]
    unions: Mapping[str, Mapping[str, Any]]
    file_only: frozenset[str]
    root: str | None = None
    partial: Mapping[str, PartialClass] = field(default_factory=dict)

    @functools.cached_property
    def by_name(self) -> dict[str, Option]:
        """Every spelling of every option that the record has."""
        return {name: option for option in self.options for name in option.names if not option.positional}

    def find(self, name: str) -> Option | None:
        """Return the option of a name as typed; some servers take `_` for `-` in every name."""
        if self.dialect.dashes_for_underscores and name.startswith("--"):
            name = name.replace("_", "-")
        return self.by_name.get(name)

    def reads(self, variable: str) -> bool:
        """Return whether a variable is the server's, or is named as if it were."""
        return variable in self.environment or variable.startswith(self.dialect.variable_prefixes)

    @property
    def title(self) -> str:
        """Server and version, as people write them."""
        return f"{self.dialect.title} {self.version}"


@dataclass(frozen=True)
class SurfaceChoice:
    """The record that speaks for a version, and whether it is that version's own."""

    surface: Surface
    is_exact: bool
    asked: str | None


def recorded_versions(server: str) -> list[str]:
    """Return the versions with a record, oldest first."""
    names = [path.stem.partition("-")[2] for path in (SERVERS / server).glob("surface-*.json")]
    return sorted(names, key=Version)


def choose_surface(server: str, version: str | None) -> SurfaceChoice:
    """Return the newest record that is not newer than `version`, or the oldest; raises RecipeError on a bad version."""
    versions = recorded_versions(server)
    if version is None:
        return SurfaceChoice(load_surface(server, versions[0]), False, None)
    try:
        asked = Version(version)
    except InvalidVersion:
        raise RecipeError(
            f"'{server}.version' {version!r} is not a version", remedy=f"Recorded are: {', '.join(versions)}"
        ) from None
    # A release's record speaks for its own pre-releases too: 1.4's for 1.4.0rc1.
    fitting = [name for name in versions if Version(f"{Version(name)}.dev0") <= asked] or versions[:1]
    chosen = fitting[-1]
    series = Version(chosen).release[:2]
    is_exact = Version(chosen) == asked or (series == asked.release[:2] and series in dialect_of(server).series)
    return SurfaceChoice(load_surface(server, chosen), is_exact, version)


@functools.cache
def load_surface(server: str, version: str) -> Surface:
    """Return one record."""
    data = json.loads((SERVERS / server / f"surface-{version}.json").read_text(encoding="utf-8"))
    return Surface(
        server=server,
        dialect=dialect_of(server),
        version=version,
        options=tuple(_option(record) for record in data["options"]),
        precedence=data["precedence"],
        evidence=data["evidence"],
        environment=frozenset(data["environment"]),
        nested=data.get("nested", {}),
        late_choices={name: tuple(values) for name, values in data.get("late_choices", {}).items()},
        classes=data.get("classes", {}),
        unions=data.get("unions", {}),
        file_only=frozenset(data.get("file_only", ())),
        root=data.get("root"),
        partial=_partial_classes(server),
    )


def _partial_classes(server: str) -> dict[str, PartialClass]:
    """Return the classes of backends whose record is not whole, by the backend's name."""
    path = SERVERS / server / "partial-classes.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {backend: PartialClass(**record) for backend, record in content.items()}


def _option(record: dict[str, Any]) -> Option:
    """Return an option; raises RecipeError for a type that is not known, whose every value would pass."""
    kind = str(record.get("type", "str")).removeprefix("optional ")
    if kind not in CONVERTERS:
        raise RecipeError(
            f"the record of {record['names'][0]} has the unknown type {kind!r}",
            remedy="Add it to launch/servers/option_type.py",
        )
    lists: dict[str, Any] = {key: tuple(record[key]) for key in ("names", "choices", "uncertain") if key in record}
    if record["kind"] in ("flag", "switch"):
        lists["names"], lists["negatives"] = _switch_names(lists["names"], hides_more=record["kind"] == "switch")
    return Option(**(record | lists))


def _switch_names(names: tuple[str, ...], *, hides_more: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return every name of a switch, and those that switch it off.

    `--no-x` is the opposite of `--x`. vLLM from 0.33 on also pairs `--enable-x` with `--disable-x`, of which the first
    in the record counts as on, and hides `--no-enable-x`, which it still takes.
    """
    on: list[str] = []
    for name in names:
        opposites = {name.replace("--no-", "--", 1)}
        for one, other in (("--enable-", "--disable-"), ("--disable-", "--enable-")):
            if hides_more and name.startswith(one):
                opposites.add(name.replace(one, other, 1))
        if not opposites & set(on):
            on.append(name)
    hidden = [f"--no-{name[2:]}" for name in on if hides_more and name.startswith("--")]
    known = tuple(dict.fromkeys([*names, *hidden]))
    return known, tuple(name for name in known if name not in on)

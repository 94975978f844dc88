"""One start of an external server: what a recipe or a pasted command becomes, and what every rendering is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.findings import Finding
from trtnemo.launch.servers.surface import Surface, SurfaceChoice


@dataclass(frozen=True)
class Container:
    """How a container engine is to start the image; paths on the host are the user's own to give."""

    image: str
    shm_size: str | None = None
    ulimits: Mapping[str, int] = field(default_factory=dict)
    workdir: str | None = None
    # path in the container by path on the host; read-only where the path ends in `:ro`
    mounts: Mapping[str, str] = field(default_factory=dict)
    # port in the container by port on the host
    ports: Mapping[int, int] = field(default_factory=dict)
    shares_network: bool = False
    # options of a pasted line that no recipe carries, as they are written
    not_carried: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartFile:
    """A file that a start needs beside the command, and the option that names it.

    `source`: the file in this package, None for the recipe's YAML content. `here`: how a command in the same directory
    names it. `inside`: its path in a container.
    """

    name: str
    option: str
    here: str
    inside: str
    source: Path | None = None


@dataclass(frozen=True)
class Invocation:
    """A start by the record of a server's version: model, options by longest name, files, environment and container.

    `llm_args` is the content of the server's YAML file. An environment variable of value None is passed on by name, so
    that a secret never stands in a command. `findings` are what reading the source brought up; `is_pasted` says that it
    was a text, whose container is as it is written, `config_path` where that names its YAML file, and `unknown` its
    options that are not in the record. `form` says what it was read from, `unset` which pieces of its words the text
    does not say the value of, `stray` its words that belong to no option, `device_count` how many devices it gives,
    where it does.
    """

    record: SurfaceChoice
    model: str
    options: Mapping[str, Any]
    files: tuple[StartFile, ...] = ()
    llm_args: Mapping[str, Any] | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    container: Container | None = None
    findings: tuple[Finding, ...] = ()
    is_pasted: bool = False
    config_path: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    form: str = "a recipe"
    unset: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()
    device_count: int | None = None

    @property
    def surface(self) -> Surface:
        """What the version takes, as far as a record speaks for it."""
        return self.record.surface

    @property
    def server(self) -> str:
        """The server's name in recipes."""
        return self.surface.server

    @property
    def version(self) -> str | None:
        """The version that is asked for."""
        return self.record.asked

    @property
    def port(self) -> int:
        """The port that the server listens on: the given one, or its own default."""
        option, given = self.surface.find("--port"), self.options.get("--port")
        default = option.default if option and isinstance(option.default, int) else 8000
        return given if isinstance(given, int) else default

    def option(self, name: str) -> Any:
        """Return an option's value under any of its names, or None."""
        found = self.surface.find(name)
        return self.options.get(found.name) if found else self.options.get(name)

    def count(self, name: str, default: int) -> int:
        """Return an option that is a whole number; raises RecipeError where it is another thing."""
        value = self.option(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise RecipeError(f"{name} must be a whole number, not {value!r}", where="the recipe")
        return value or default

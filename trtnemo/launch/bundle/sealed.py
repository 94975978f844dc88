"""The command that a bundle sealed, as the words that start it here, and where today's translation would differ."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trtnemo.engine.manifest import BundleManifest
from trtnemo.errors import EngineError, RecipeError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.options.arguments import parse_arguments
from trtnemo.launch.render.forms.docker import EVERYWHERE, docker_words, published
from trtnemo.launch.render.shell_text import CACHE_MOUNT
from trtnemo.launch.render.words import file_text, option_groups, server_words
from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.registry import find_server
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.surface import Surface, choose_surface
from trtnemo.recipe import AnyRecipe
from trtnemo.recipe.load import load_recorded

BUNDLED = "@bundle/"  # begins words that stand for files of the bundle; a start puts their paths in
_CACHE = CACHE_MOUNT.partition(":")[0]


def bundled(file: StartFile) -> str:
    """Return the word that stands for a file of the bundle."""
    return BUNDLED + file.name


def recipe_of(manifest: BundleManifest) -> AnyRecipe:
    """Return the recipe that a bundle was built from."""
    return load_recorded(manifest.recipe)


@dataclass(frozen=True)
class SealedStart:
    """What a bundle starts. `host` and `port` replace those that were sealed; a container keeps its own inside."""

    directory: Path
    manifest: BundleManifest
    host: str | None = None
    port: int | None = None

    @property
    def server(self) -> Server:
        """The bundle's server."""
        return find_server(self.manifest.runtime)

    @property
    def surface(self) -> Surface:
        """The record of options that speaks for the sealed version."""
        return choose_surface(self.manifest.runtime, self.manifest.server_version).surface

    @property
    def address(self) -> tuple[str, int]:
        """Host and port at which the server will answer; raises EngineError where the command is not this server's."""
        # a module is behind the Python that starts it
        command = self.manifest.command
        first = command.index("-m") + 1 if command[1:2] == ["-m"] else 0
        after = self.server.words_after_start(command[first:])
        if after is None:
            raise EngineError(
                f"its sealed command does not start {self.server.dialect.title}", remedy="Rebuild the bundle"
            )
        values = parse_arguments(self.surface, after).values
        option = self.surface.find("--port")
        default = option.default if option is not None and isinstance(option.default, int) else 8000
        host = self.host or str(values.get("--host") or self.server.dialect.default_host or EVERYWHERE)
        return host, values.get("--port", default) if self.port is None else self.port

    def program_words(self) -> list[str]:
        """Return the sealed command with the bundle's files in their places."""
        words = list(self.manifest.command)
        for name, value in (("--host", self.host), ("--port", self.port)):
            if value is not None:
                words = _replaced(words, name, str(value))
        here = f"{self.directory.resolve()}/"
        return [here + word.removeprefix(BUNDLED) if word.startswith(BUNDLED) else word for word in words]

    def container_words(self) -> list[str]:
        """Return the sealed `docker run`, published at another address where one is given."""
        words = list(self.manifest.docker or docker_words(to_invocation(recipe_of(self.manifest))))
        if self.host is not None or self.port is not None:
            place = words.index("-p") + 1
            words[place] = published(*self.address, words[place].rpartition(":")[2])
        cache = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
        return [_resolved(word, cache, str(self.directory.resolve())) for word in words]


def _replaced(words: list[str], option: str, value: str) -> list[str]:
    if option not in words:
        return [*words, option, value]
    place = words.index(option) + 1
    return [*words[:place], value, *words[place + 1 :]]


def _resolved(word: str, cache: str, here: str) -> str:
    return cache + word.removeprefix(_CACHE) if word.startswith(f"{_CACHE}:") else word.replace("$(pwd)", here)


def differences_today(start: SealedStart) -> Iterator[str]:
    """Yield how today's translation of the sealed recipe differs from what was sealed, a line each."""
    manifest = start.manifest
    try:
        invocation = to_invocation(recipe_of(manifest))
    except RecipeError as error:
        yield f"today's trtnemo refuses the recipe: {error}"
        return
    sealed, now = (
        [shlex.join(group) for group in option_groups(words)]
        for words in (manifest.command, server_words(invocation, bundled))
    )
    yield from (
        f"sealed and started: {group}; today's translation leaves it out" for group in sealed if group not in now
    )
    yield from (f"today's translation adds: {group}; it was not sealed" for group in now if group not in sealed)
    names = sorted(manifest.env.keys() | invocation.env.keys())
    yield from (f"today's translation sets {name} otherwise" for name in names if _differs(name, manifest, invocation))
    for file in invocation.files:
        path = start.directory / file.name
        if not path.is_file() or path.read_text(encoding="utf-8") != file_text(file, invocation):
            yield f"today's translation writes another {file.name}"


def _differs(name: str, manifest: BundleManifest, invocation: Invocation) -> bool:
    missing = object()
    return manifest.env.get(name, missing) != invocation.env.get(name, missing)

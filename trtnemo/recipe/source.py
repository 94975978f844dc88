"""The text of a recipe: where it is found, what it says, and on which line each key stands."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trtnemo.errors import RecipeError
from trtnemo.recipe.unwritten import remedy_unwritten, why_unwritten

SHIPPED_RECIPES = Path(__file__).resolve().parent.parent / "recipes"
MAXIMUM_BYTES = 1 << 20
MAXIMUM_DEPTH = 32
KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML as recipes use it: no timestamps, so that a version such as 2026-01-01 stays text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        letter: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass
class RecipeSource:
    """A recipe as read: plain data, plus the line of every key (1-based)."""

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def position(self, path: KeyPath) -> str:
        """Return `file:line` of the nearest key that has a line."""
        while path:
            if path in self.lines:
                line = self.lines[path]
                return f"{self.name}:{line}" if line else "--set"
            path = path[:-1]
        return self.name


def shipped_names() -> list[str]:
    """Return the bare names of the recipes that come with the package."""
    return sorted(path.stem for path in SHIPPED_RECIPES.glob("*.yaml"))


def locate(name: str) -> Path:
    """Return the file of a recipe given as path, `name.yaml` or bare name.

    Raises RecipeError when there is none, with the nearest shipped name.
    """
    direct = Path(name)
    if direct.is_file():
        return direct
    if direct.name == name:
        shipped = SHIPPED_RECIPES / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
        if shipped.is_file():
            return shipped
    if why := why_unwritten(name):
        raise RecipeError(f"there is no recipe '{name}': {why}", remedy=remedy_unwritten())
    from trtnemo.recipe.nearest import suggestion

    raise RecipeError(
        f"there is no recipe '{name}'{suggestion(Path(name).stem, shipped_names())}",
        remedy="`trtnemo recipes list` shows the shipped ones; a path to a YAML file works too",
    )


def read(path: Path) -> RecipeSource:
    """Read a recipe file into plain data with line numbers; raises RecipeError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(raw) > MAXIMUM_BYTES:
        raise RecipeError(f"is {len(raw)} bytes; a recipe has at most {MAXIMUM_BYTES}", where=str(path))
    try:
        return parse(raw.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise RecipeError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from None


def parse(text: str, name: str) -> RecipeSource:
    """Parse the text of a recipe; raises RecipeError on bad YAML, a duplicate key or a non-mapping."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if not isinstance(root, yaml.MappingNode):
                raise RecipeError("a recipe is a mapping of keys to values", where=name)
            lines: dict[KeyPath, int] = {}
            _collect_lines(root, (), lines, name)
            data = loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(f"is not valid YAML: {problem}", where=where) from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"holds a value that YAML cannot express: {error}", where=name) from None
    return RecipeSource(name, data, lines)


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> None:
    if len(path) > MAXIMUM_DEPTH:
        raise RecipeError(f"nests deeper than {MAXIMUM_DEPTH} levels", where=f"{name}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key: Hashable = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag != "tag:yaml.org,2002:str":
                raise RecipeError(f"the key {key_node.value!r} is not text", where=f"{name}:{line}")
            child = (*path, key)
            if child in lines:
                raise RecipeError(f"the key '{key}' stands twice", where=f"{name}:{line}")
            lines[child] = line
            _collect_lines(value_node, child, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = (*path, index)
            lines[place] = item.start_mark.line + 1
            _collect_lines(item, place, lines, name)


def recipe_stem(name: str) -> str:
    """Return a recipe's short name: `b200` for `b200`, `b200.yaml` and `some/b200.yaml`."""
    path = Path(name)
    return path.stem if path.suffix in (".yaml", ".yml") else path.name

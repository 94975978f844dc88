"""Circles of imports between modules, those inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Collection

from scripts.house.sources import module_of, python_files, read


def import_map() -> dict[str, set[str]]:
    """Return the product's modules that each one imports."""
    modules = {module_of(path): path for path in python_files()}
    return {name: _imports(read(path), modules.keys()) - {name} for name, path in modules.items()}


def _imports(text: str, modules: Collection[str]) -> set[str]:
    """Return the modules that a text imports: a package itself only for what its `__init__` defines or passes on."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{name.name}" for name in node.names]
            found |= {name if name in modules else node.module for name in whole}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & set(modules)


def circles() -> list[set[str]]:
    """Return every group of modules that import each other in a circle."""
    imports = import_map()
    reached = {name: _reached(name, imports) for name in imports}
    groups = [frozenset({name} | {other for other in reached[name] if name in reached[other]}) for name in imports]
    return [set(group) for group in dict.fromkeys(groups) if len(group) > 1]


def _reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in imports[waiting.pop()] - seen:
            seen.add(other)
            waiting.append(other)
    return seen

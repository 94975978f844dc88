"""Circles of imports between modules, those inside functions included."""

from __future__ import annotations

import ast

from scripts.house.sources import module_of, python_files, read


def import_map() -> dict[str, set[str]]:
    """Return the product's modules that each one imports."""
    modules = {module_of(path): path for path in python_files()}
    return {name: _imports(read(path)) & (modules.keys() - {name}) for name, path in modules.items()}


def _imports(text: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def circles() -> list[set[str]]:
    """Return every group of modules that import each other in a circle; a package and its parts form none."""
    imports = import_map()
    reached = {name: _reached(name, imports) for name in imports}
    groups = [frozenset({name} | {other for other in reached[name] if name in reached[other]}) for name in imports]
    return [set(group) for group in dict.fromkeys(groups) if len(group) > 1 and not _is_package(group)]


def _reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in imports[waiting.pop()] - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def _is_package(group: frozenset[str]) -> bool:
    shortest = min(group, key=len)
    return all(name == shortest or name.startswith(f"{shortest}.") for name in group)

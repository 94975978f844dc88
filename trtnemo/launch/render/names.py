"""The names of all forms that a start is written in, by their files: nothing is imported."""

from __future__ import annotations

import pkgutil
from pathlib import Path

# each folder holds one module a form: starts of a server, and configurations of its clients
_FOLDERS = ("forms", "clients")


def form_names() -> list[str]:
    """Return the name of every form."""
    return [module.replace("_", "-") for folder in _FOLDERS for module in _modules(folder)]


def module_of(name: str) -> str:
    """Return the module of a form, relative to this package."""
    module = name.replace("-", "_")
    return f"{next(folder for folder in _FOLDERS if module in _modules(folder))}.{module}"


def _modules(folder: str) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)]))

"""Our own ops, one folder each: what an op computes (`op`), the naive truth (`reference`), a form per backend."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path


@functools.cache
def load_forms(backend: str) -> None:
    """Import the file of that name in every plugin's folder, which registers its op's form with the backend."""
    for plugin in pkgutil.iter_modules([str(Path(__file__).parent)]):
        folder = Path(__file__).parent / plugin.name
        if (folder / f"{backend}.py").is_file():
            importlib.import_module(f"{__name__}.{plugin.name}.{backend}")

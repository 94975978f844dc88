"""A copy of the package, for tests that add a file to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.paths import ROOT


def copy_package(place: Path) -> Path:
    """Return a directory that holds a copy of trtnemo, plugins and recipes included, without the compiled module."""
    left_out = shutil.ignore_patterns("__pycache__", "prompts", "*.so")
    shutil.copytree(ROOT / "trtnemo", place / "trtnemo", ignore=left_out)
    return place

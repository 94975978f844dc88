"""The engine directory: write, read, verify."""

from trtnemo.engine.build import build_engine
from trtnemo.engine.engine import Engine, verify_files
from trtnemo.engine.manifest import Manifest

__all__ = ["Engine", "Manifest", "build_engine", "verify_files"]

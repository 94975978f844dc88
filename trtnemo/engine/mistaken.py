"""What stands where an engine is meant: another file, a checkpoint, a recipe's name, or nothing."""

from __future__ import annotations

from pathlib import Path

from trtnemo.errors import EngineError
from trtnemo.recipe.source import shipped_names

_BUILD = "`trtnemo build --output DIR` makes one"
_FROM_CHECKPOINT = "`trtnemo build --recipe RECIPE --checkpoint {name} --output DIR` makes one of it"
_FROM_RECIPE = "`trtnemo build --recipe {name} --output DIR` makes one of it"
_FILES = {
    ".gguf": ("it is a GGUF file", "llama.cpp and programs built on it read it; an engine is built of the checkpoint"),
    ".safetensors": ("it is a file of weights", "`trtnemo build --checkpoint` takes the directory that it is in"),
    ".yaml": ("it is a YAML file", _FROM_RECIPE),
    ".yml": ("it is a YAML file", _FROM_RECIPE),
}


def not_an_engine(place: Path, manifest: str) -> EngineError:
    """Return the error of a place without an engine's manifest: what it is instead, and how it becomes one."""
    what, remedy = _in_place_of(place, manifest)
    return EngineError(f"is not an engine directory: {what}", where=str(place), remedy=remedy)


def _in_place_of(place: Path, manifest: str) -> tuple[str, str]:
    if place.is_dir():
        return _directory(place, manifest)
    if place.name == manifest and place.exists():
        return "it is a file in one", f"Give {place.parent}"
    if place.exists():
        what, remedy = _FILES.get(place.suffix.lower(), ("it is a file", _BUILD))
        return what, remedy.format(name=place)
    if str(place) in shipped_names():
        return "it is the name of a recipe", _FROM_RECIPE.format(name=place)
    return "there is no such directory", f"{_BUILD}; its --checkpoint takes a hub id"


def _directory(place: Path, manifest: str) -> tuple[str, str]:
    below = sorted(path.parent for path in place.glob(f"*/{manifest}"))
    if below:
        return f"{manifest} is missing", f"Give {below[0]}"
    if any(place.glob("*.engine")):
        return "it holds engines of TensorRT or TensorRT-LLM", "Their own programs read those; trtnemo builds its own"
    if any(place.glob("*.gguf")):
        return "it holds GGUF", _FILES[".gguf"][1]
    if (place / "config.json").exists():
        return "it is a checkpoint", _FROM_CHECKPOINT.format(name=place)
    return f"{manifest} is missing", _BUILD

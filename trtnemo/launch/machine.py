"""A look at this machine: what recipes need of it, and what it has."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trtnemo.recipe import AnyRecipe, load_recipe, shipped_names

_PACKAGES = {
    "torch": "torch",
    "modelopt": "nvidia-modelopt",
    "tensorrt_llm": "tensorrt_llm",
    "tensorrt": "tensorrt",
    "vllm": "vllm",
    "sglang": "sglang",
}
_LATER = "not in this version: bundles for external servers and TensorRT plans are later work"


@dataclass(frozen=True)
class Machine:
    """What this machine has."""

    processor: str
    cores: int
    memory_gib: float
    gpu: str
    compiler: str
    nvfp4_decoder: str
    packages: dict[str, str | None]


@dataclass(frozen=True)
class RecipeVerdict:
    """Whether a recipe can be built and served here, or the reason why not."""

    recipe: str
    runtime: str
    build: str
    serve: str


@dataclass(frozen=True)
class ProofLevel:
    """How far something was proven: compiled, interpreted, or run."""

    level: str
    what: str


def examine_machine() -> Machine:
    """Return what this machine has; loads none of the packages."""
    from trtnemo.checkpoint._decoder import has_native

    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        gpu="present" if Path("/dev/nvidiactl").exists() else "none",
        compiler=shutil.which("c++") or "none",
        nvfp4_decoder="native" if has_native() else "numpy (the package was built without a compiler)",
        packages={name: _version(name, package) for name, package in _PACKAGES.items()},
    )


def examine_recipes() -> list[RecipeVerdict]:
    """Return a verdict per shipped recipe."""
    return [_verdict(name, load_recipe(name)) for name in shipped_names()]


def proof_levels() -> list[ProofLevel]:
    """Return what was compiled, interpreted or run, and what never was."""
    return [
        ProofLevel(
            "run, on CPUs",
            "recipe `tiny` end to end: build, own server, tool calls, MTP drafts, torch executor in float32",
        ),
        ProofLevel("interpreted", "the network's numbers (target graph) against transformers, in float32"),
        ProofLevel("compiled", "nothing yet: TensorRT plans and GPU kernels are later work"),
        ProofLevel("never run", "anything on a GPU; recipe `b200` is validated as a file only"),
    ]


def _verdict(name: str, recipe: AnyRecipe) -> RecipeVerdict:
    if recipe.runtime != "cpu":
        return RecipeVerdict(name, recipe.runtime, _LATER, _LATER)
    has_torch = importlib.util.find_spec("torch") is not None
    serve = "yes" if has_torch else "no: torch is not installed (pip install 'trtnemo[torch]')"
    return RecipeVerdict(name, recipe.runtime, "yes", serve)


def _version(module: str, package: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

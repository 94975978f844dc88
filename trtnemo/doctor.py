"""A look at this machine: what recipes need of it, and what it has."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from trtnemo.gpus import list_devices
from trtnemo.launch.servers.registry import all_servers, find_server
from trtnemo.recipe import AnyRecipe, ExternalRecipe, load_recipe, shipped_names
from trtnemo.trt.library import MODULES

_PACKAGES = {
    "torch": "torch",
    "triton": "triton",
    "modelopt": "nvidia-modelopt",
    "tensorrt": "tensorrt",
    "tensorrt_rtx_bindings": "tensorrt_rtx_cu13_bindings",
}


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


def installed_packages() -> dict[str, str | None]:
    """Return the version of each package that builds or serves, by module; loads none of them."""
    servers = {server.module: server.package for server in all_servers().values()}
    return {name: _version(name, package) for name, package in (_PACKAGES | servers).items()}


def examine_recipes() -> list[RecipeVerdict]:
    """Return a verdict per shipped recipe."""
    return [_verdict(name, load_recipe(name)) for name in shipped_names()]


def proof_levels() -> list[ProofLevel]:
    """Return what was compiled, interpreted or run, and what never was."""
    return [
        ProofLevel(
            "run, on CPUs",
            "recipe `tiny` end to end on native kernels: build, own server, tool calls, MTP drafts, prefix reuse, "
            "preemption; the torch executor in float32 beside them; kernels for AVX-512 with VNNI, AVX2 and plain C++, "
            "on x86-64 alone",
        ),
        ProofLevel(
            "interpreted",
            "the network's numbers (target graph) against transformers, in float32; every kind of layer of "
            "the TensorRT networks alone, and their blocks against the torch lowering, at small width; every CUDA "
            "kernel in numpy, and whole steps of them, behind the OpenAI API",
        ),
        ProofLevel(
            "compiled",
            "TensorRT plans for compute capability 8.x and 12.x: deserialized and timed nowhere yet; CUDA kernels "
            "for 8.0 to 12.1 at full width: launched nowhere yet",
        ),
        ProofLevel("parsed", "; ".join(f"{server.dialect.title}: {server.proof}" for server in all_servers().values())),
        ProofLevel("never run", "anything on a GPU; the external servers themselves; manifests in a cluster"),
    ]


def _verdict(name: str, recipe: AnyRecipe) -> RecipeVerdict:
    if isinstance(recipe, ExternalRecipe):
        return RecipeVerdict(name, recipe.runtime, "yes, a bundle", _external_verdict(recipe))
    if recipe.runtime == "tensorrt":
        return RecipeVerdict(name, recipe.runtime, *_tensorrt_verdict(recipe))
    if recipe.runtime == "cuda":
        return RecipeVerdict(name, recipe.runtime, *_cuda_verdict(recipe))
    return RecipeVerdict(name, recipe.runtime, "yes", _cpu_verdict())


def _cpu_verdict() -> str:
    from trtnemo.native import find_native

    if find_native() is not None:
        return "yes"
    if importlib.util.find_spec("torch") is not None:
        return "yes, in torch and slow: trtnemo was installed without a compiler"
    return "no: neither compiled kernels nor torch (install a C++20 compiler and trtnemo again, or trtnemo[torch])"


def _tensorrt_verdict(recipe: AnyRecipe) -> tuple[str, str]:
    """Return whether plans can be built here, and whether they can run."""
    has_builder = any(importlib.util.find_spec(name) for names in MODULES.values() for name in names)
    build = "yes" if has_builder else "no: TensorRT is not installed (pip install 'trtnemo[tensorrt]')"
    if lacking := _lacking_devices(recipe):
        return build, f"interpreted only (--interpret): {lacking}"
    return build, "perhaps: a device is there; no GPU has run these plans yet"


def _cuda_verdict(recipe: AnyRecipe) -> tuple[str, str]:
    """Return whether kernels can be compiled here, and whether they can run."""
    missing = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]
    build = "yes" if not missing else f"no: {' and '.join(missing)} not installed (pip install 'trtnemo[cuda]')"
    if lacking := _lacking_devices(recipe):
        return build, f"interpreted only (--interpret): {lacking}"
    return build, "perhaps: a device is there; no GPU has run these kernels yet"


def _external_verdict(recipe: AnyRecipe) -> str:
    """Return whether this machine has the devices, and the program or docker, that a recipe's server needs."""
    if lacking := _lacking_devices(recipe):
        return f"no: {lacking}"
    program = find_server(recipe.runtime).program
    if shutil.which(program) is None and shutil.which("docker") is None:
        return f"no: neither {program} nor docker is on PATH"
    return "perhaps: devices and a program are there; `trtnemo serve` looks at the rest"


def _lacking_devices(recipe: AnyRecipe) -> str | None:
    """Return which devices a recipe needs that this machine has not, and what kept nvidia-smi from listing any."""
    found, wanted = list_devices(), recipe.hardware
    if len(found.devices) >= wanted.count:
        return None
    needs = f"it needs {wanted.count} x {wanted.name}, this machine has {len(found.devices) or 'no'} GPU"
    return f"{needs}{'s' if len(found.devices) > 1 else ''}{f' ({found.failure})' if found.failure else ''}"


def _version(module: str, package: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"

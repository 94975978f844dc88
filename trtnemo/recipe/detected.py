"""The recipe `gpu`: our CUDA runtime on the GPU that this machine has."""

from __future__ import annotations

import os
import re

from trtnemo.errors import MachineError
from trtnemo.gpus import InstalledDevice, find_devices
from trtnemo.recipe.source import RecipeSource, locate, read

GPU = "gpu"
# words of a name as nvidia-smi prints it -> the shipped recipe; the first that fits
_KNOWN = (
    (r"GB200", "gb200-cuda"),
    (r"GB10", "dgx-spark-cuda"),
    (r"B200", "b200-cuda"),
    (r"H200", "h200-cuda"),
    (r"H100", "h100-cuda"),
    (r"RTX PRO 6000", "rtx-pro-6000-cuda"),
    (r"RTX 5090(?! Laptop)", "rtx-5090-cuda"),
)
_SUPER, _NANO = ("h200-cuda", 100_000), ("rtx-5090-cuda", 24_000)  # recipe, least MiB that its weights and states take


def detect_recipe() -> RecipeSource:
    """Return the recipe for the first GPU; raises MachineError where there is none that our kernels are for."""
    devices = find_devices()
    if not devices:
        raise MachineError(
            "recipe 'gpu' reads the GPU of this machine, and nvidia-smi shows none",
            remedy="`trtnemo recipes list` has recipes for devices that are not here",
        )
    device = _visible(devices)
    if _capability(device) < (8, 0):
        raise MachineError(f"{device.name} has compute capability {device.compute_capability}; our kernels need 8.0")
    known = next((recipe for words, recipe in _KNOWN if re.search(rf"\b{words}\b", device.name)), None)
    return _named(known) if known is not None else _of_its_memory(device)


def _visible(devices: list[InstalledDevice]) -> InstalledDevice:
    """Return the first device that CUDA_VISIBLE_DEVICES leaves, where it names one by its number."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return devices[int(first)] if first.isdigit() and int(first) < len(devices) else devices[0]


def _named(recipe: str) -> RecipeSource:
    source = read(locate(recipe))
    source.name = f"{GPU} ({source.name})"
    return source


def _of_its_memory(device: InstalledDevice) -> RecipeSource:
    """Return the largest model's recipe that may fit a device without one of its own, with that device in it."""
    recipe = next((name for name, least in (_SUPER, _NANO) if device.memory_mib >= least), None)
    if recipe is None:
        raise MachineError(
            f"{device.name} has {device.memory_mib} MiB, less than Nano in NVFP4 takes ({_NANO[1]})",
            remedy="`trtnemo plan` shows what each model takes",
        )
    source = _named(recipe)
    name = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    source.data["hardware"] = {
        "name": name,
        "count": 1,
        "memory_mib": device.memory_mib,
        "compute_capability": device.compute_capability,
    }
    return source


def _capability(device: InstalledDevice) -> tuple[int, ...]:
    return tuple(int(part) for part in device.compute_capability.split(".") if part.isdigit())

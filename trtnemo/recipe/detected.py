"""The recipe `gpu`: our CUDA runtime on the GPU that this machine has."""

from __future__ import annotations

import re

from trtnemo.errors import MachineError
from trtnemo.gpus import InstalledDevice, list_devices
from trtnemo.recipe.source import RecipeSource, locate, read
from trtnemo.recipe.visible import first_visible

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
_SHARED = ("dgx-spark-cuda",)  # whose memory is its CPU's: nvidia-smi tells none
_SUPER, _NANO = ("h200-cuda", 100_000), ("rtx-5090-cuda", 24_000)  # recipe, least MiB that its weights and states take


def detect_recipe() -> RecipeSource:
    """Return the recipe for the first GPU; raises MachineError where there is none that our kernels are for."""
    found = list_devices()
    if not found.devices:
        raise MachineError(
            f"recipe '{GPU}' reads the GPU of this machine: {found.failure}",
            remedy="`trtnemo recipes list` has recipes for devices that are not here",
        )
    device = first_visible(found.devices)
    if _capability(device) < (8, 0):
        raise MachineError(f"{device.name} has compute capability {device.compute_capability}; our kernels need 8.0")
    known = next((recipe for words, recipe in _KNOWN if re.search(rf"\b{words}\b", device.name)), None)
    if device.is_cut or (device.memory_mib == 0 and known not in _SHARED):
        why = "is cut into MIG instances" if device.is_cut else "does not tell its memory to nvidia-smi"
        raise MachineError(
            f"{device.name} {why}: how much memory there is cannot be read",
            remedy=f"Name the recipe, and state the memory: --recipe {known or _NANO[0]} --set hardware.memory_mib=MIB",
        )
    return _named(known, device) if known is not None else _of_its_memory(device)


def _named(recipe: str, device: InstalledDevice) -> RecipeSource:
    """Return a shipped recipe with the memory that the device has, which differs between boards of one name."""
    source = read(locate(recipe))
    source.name = f"{GPU} ({source.name})"
    if device.memory_mib:
        source.data["hardware"] = {**source.data["hardware"], "memory_mib": device.memory_mib}
    return source


def _of_its_memory(device: InstalledDevice) -> RecipeSource:
    """Return the largest model's recipe that may fit a device without one of its own, with that device in it."""
    recipe = next((name for name, least in (_SUPER, _NANO) if device.memory_mib >= least), None)
    if recipe is None:
        raise MachineError(
            f"{device.name} has {device.memory_mib} MiB, less than Nano in NVFP4 takes ({_NANO[1]})",
            remedy="`trtnemo plan` shows what each model takes",
        )
    source = _named(recipe, device)
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

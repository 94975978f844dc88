"""What must hold before plans are built for a device: the library compiles for it, and it has the element types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.checkpoint import WeightFormat
from trtnemo.errors import RecipeError
from trtnemo.recipe import TensorrtRecipe
from trtnemo.recipe.external import EXTERNAL
from trtnemo.trt.element import Element
from trtnemo.trt.library import Library, find_library

Capability = tuple[int, int]
_KEY = "hardware.compute_capability"
_FROM_FP4, _FROM_BFLOAT16 = (12, 0), (8, 0)  # below, the builder refuses the types themselves


def read_capability(recipe: TensorrtRecipe) -> Capability:
    """Return the recipe's compute capability; raises RecipeError when it names none."""
    text = recipe.hardware.compute_capability
    if text is None:
        raise RecipeError(f"'{_KEY}' must say which device plans are built for", remedy=f"--set {_KEY}=12.0")
    major, _, minor = text.partition(".")
    return int(major), int(minor)


@dataclass(frozen=True)
class Target:
    """What plans are built with and for: a TensorRT, a device's compute capability, and the settings of a recipe."""

    library: Library
    capability: Capability
    settings: Settings

    @classmethod
    def from_recipe(cls, recipe: TensorrtRecipe) -> Target:
        """Return a recipe's target; raises MachineError without a TensorRT, RecipeError where it compiles for less."""
        library, capability = find_library(recipe.tensorrt.flavor), read_capability(recipe)
        require_target(library, capability)
        return cls(library, capability, Settings.from_recipe(recipe))

    @property
    def device(self) -> str:
        """The compute capability as it is written."""
        return f"{self.capability[0]}.{self.capability[1]}"

    def require(self, formats: Iterable[WeightFormat], plain: Iterable[Element]) -> None:
        """Raise RecipeError where the device cannot read weights in these formats and plain element types."""
        require_formats(self.capability, formats, {*plain, self.settings.products, self.settings.cache})


def require_target(library: Library, capability: Capability) -> None:
    """Raise RecipeError unless the library compiles for the device."""
    names = [re.fullmatch(r"SM(\d+)(\d)", name) for name in library.module.ComputeCapability.__members__]
    known = sorted((int(match[1]), int(match[2])) for match in names if match)
    if capability not in known:
        listed = ", ".join(f"{major}.{minor}" for major, minor in known)
        raise RecipeError(
            f"{library.product} {library.version} compiles for compute capability {listed}, not "
            f"{capability[0]}.{capability[1]}",
            where=_KEY,
            remedy=f"Serve this device with runtime {' or '.join(EXTERNAL)}",
        )


def require_formats(capability: Capability, formats: Iterable[WeightFormat], elements: Iterable[Element]) -> None:
    """Raise RecipeError where the device has no such element type."""
    device = f"{capability[0]}.{capability[1]}"
    if any(format.is_nvfp4 for format in formats) and capability < _FROM_FP4:
        raise RecipeError(
            f"NVFP4 weights compile for compute capability 12.0 and later only, not {device}: FP4 is a type of the "
            "hardware there",
            where=_KEY,
            remedy="Take the FP8 or BF16 checkpoint of the same model",
        )
    if Element.BFLOAT16 in elements and capability < _FROM_BFLOAT16:
        raise RecipeError(
            f"bfloat16 compiles for compute capability 8.0 and later only, not {device}",
            where=_KEY,
            remedy="Take a later device",
        )

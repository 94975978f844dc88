"""Element types of the native CPU runtime, as one object from the recipe to the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trtnemo.recipe import CpuRecipe


@dataclass(frozen=True)
class Precision:
    """activations: whole numbers that rows become where they meet NVFP4 weights; kv_cache; ssm_state."""

    activations: Literal["int16", "int8"] = "int16"
    kv_cache: Literal["float16", "float32", "fp8"] = "float16"
    ssm_state: Literal["float32", "float16"] = "float32"

    @classmethod
    def from_recipe(cls, recipe: CpuRecipe) -> Precision:
        """Return what a recipe asks for; keys and values are float16 unless it says otherwise."""
        asked = recipe.kv_cache.dtype
        return cls(recipe.cpu.activations, asked if asked in ("float32", "fp8") else "float16", recipe.cpu.ssm_state)

    @property
    def has_wide_activations(self) -> bool:
        """Whether activations have 16 bits, not 8."""
        return self.activations == "int16"

    @property
    def cache_itemsize(self) -> int:
        """Bytes of one key or value; in FP8 each head's row of a token has four more."""
        return {"float32": 4, "float16": 2, "fp8": 1}[self.kv_cache]

    @property
    def state_itemsize(self) -> int:
        """Bytes of one element of a recurrent state."""
        return 2 if self.has_half_state else 4

    @property
    def has_half_state(self) -> bool:
        """Whether recurrent states are float16, rounded stochastically at each token."""
        return self.ssm_state == "float16"

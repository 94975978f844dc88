"""What the CPU runtime honours of a recipe, and its packed weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trtnemo.backends.cpu.packed import LAYOUT as PACKED
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.runtime import HUB, Graphs, Layout, OwnRuntime, Progress, copy_small
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import RecipeError
from trtnemo.native import find_native, require_native
from trtnemo.plan.server_memory import NATIVE_CPU
from trtnemo.recipe import CpuRecipe


class CpuRuntime(OwnRuntime[CpuRecipe]):
    """Our CPU runtime: compiled kernels, or torch where there are none."""

    cache_types = ("auto", "float16", "float32", "fp8")
    memory = NATIVE_CPU

    def layout(self, recipe: CpuRecipe) -> Layout:
        """Return packed for the compiled runtime, or as in the hub.

        Raises MachineError without the compiled runtime, RecipeError on what torch does not do in its place.
        """
        if recipe.cpu.lowering == "native":
            require_native()
        if recipe.cpu.lowering != "torch" and find_native() is not None:
            return PACKED
        _require_torch_fields(recipe)
        return HUB

    def element_types(self, recipe: CpuRecipe) -> dict[str, Any]:
        """Return a deployment's types; a lowering of `auto` is native, as it is where there is a compiler."""
        is_native, dtype = recipe.cpu.lowering != "torch", recipe.kv_cache.dtype
        by_default = "float16" if is_native else "float32"
        return {
            "kv_dtype": by_default if dtype == "auto" else dtype,
            "packs": is_native,
            "ssm_dtype": recipe.cpu.ssm_state,
        }

    def write_weights(self, checkpoint: Checkpoint, graphs: Graphs, directory: Path, progress: Progress) -> None:
        """Pack the weights that the graphs name, or copy them where the layout is the hub's."""
        if directory.name != PACKED:
            super().write_weights(checkpoint, graphs, directory, progress)
            return
        copy_small(checkpoint, ("config.json",), directory)
        recorded = [graph for graph in graphs.values() if graph is not None]
        pack_weights(checkpoint, recorded, directory, lambda done, total: progress("packing weights", done, total))
        progress("writing the manifest", 0, 0)


def _require_torch_fields(recipe: CpuRecipe) -> None:
    """Raise RecipeError where a recipe asks the torch lowering for what only the native one does."""
    asked = {
        "kv_cache.dtype": recipe.kv_cache.dtype in ("float16", "fp8"),
        "cpu.activations": recipe.cpu.activations == "int8",
        "cpu.ssm_state": recipe.cpu.ssm_state == "float16",
        "cpu.kv_tokens": recipe.cpu.kv_tokens is not None,
        "cpu.lock_memory": recipe.cpu.lock_memory,
        "cpu.huge_pages": recipe.cpu.huge_pages,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise RecipeError(
                f"'{name}' asks for what the torch lowering does not do",
                remedy="Leave it at its default, or set 'cpu.lowering' to native",
            )


RUNTIME = CpuRuntime()

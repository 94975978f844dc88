"""What the TensorRT runtime honours of a recipe, and its plans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from trtnemo.backends.runtime import Graphs, OwnRuntime, Prepared, Progress
from trtnemo.backends.tensorrt.lower.targets import Target
from trtnemo.backends.tensorrt.plans import build_plans, place_plans, unfinished_plans
from trtnemo.checkpoint import Checkpoint, WeightFormat
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.server_memory import NATIVE_DEVICE
from trtnemo.recipe import TensorrtRecipe
from trtnemo.trt.element import Element


class TensorrtRuntime(OwnRuntime[TensorrtRecipe]):
    """Our TensorRT runtime: a serialized plan per kind of block."""

    cache_types = ("auto", "bfloat16", "float16", "float32")
    # KVCacheUpdate of TensorRT 11 and TensorRT for RTX 1.7 takes float, half and bfloat16
    cache_refusals = {"fp8": "TensorRT updates no FP8 cache in place"}  # noqa: RUF012 - a ClassVar of the protocol
    memory = NATIVE_DEVICE
    interprets = True

    def check(self, recipe: TensorrtRecipe) -> list[str]:
        """Return what was checked of builder, device, formats and memory; raises RecipeError or MachineError."""
        target = Target.from_recipe(recipe)
        network = find_network(recipe.checkpoint, recipe.revision)
        target.require(_formats(network), [Element.BFLOAT16])
        verdict = self.check_device(recipe, network, "TensorRT", target.device, "plans")
        library = target.library
        return [f"{library.product} {library.version} compiles for compute capability {target.device}", *verdict]

    def compute(self, recipe: TensorrtRecipe) -> Literal["weight_only", "native"]:
        """Return what quantized layers compute in."""
        return recipe.tensorrt.compute

    def element_types(self, recipe: TensorrtRecipe) -> dict[str, Any]:
        """Return a deployment's types; a cache of `auto` is of the products' type."""
        dtype = recipe.kv_cache.dtype
        return {"kv_dtype": recipe.tensorrt.matmul_dtype if dtype == "auto" else dtype}

    @contextmanager
    def prepared(
        self, recipe: TensorrtRecipe, checkpoint: Checkpoint, graphs: Graphs, output: Path, progress: Progress
    ) -> Iterator[Prepared]:
        """Yield the finished plans; those that an interrupted build had finished are taken over."""
        wanted = [graphs["target"], graphs["mtp"] if recipe.speculation.draft_tokens else None]
        with unfinished_plans(output) as kept:
            recorded = [graph for graph in wanted if graph is not None]
            index = build_plans(recipe, checkpoint, recorded, kept, progress)
            versions = {f"tensorrt ({index.flavor})": index.version}
            yield Prepared(lambda staging: place_plans(index, kept, staging), versions)


def _formats(network: Network) -> set[WeightFormat]:
    return {network.quantization.uniform, *network.quantization.layers.values()}


RUNTIME = TensorrtRuntime()

"""The protocol of our own runtimes: what one honours of a recipe, and what it adds to an engine.

A runtime is a folder here with a `runtime.py` (RUNTIME, one object of a class below); a recipe's `runtime` names it.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.headers import INDEX
from trtnemo.errors import RecipeError
from trtnemo.graph import Graph
from trtnemo.plan.deployment import Deployment, checked_deployment
from trtnemo.plan.hardware import catalogue_names, find_device, recipe_device
from trtnemo.plan.network import Network
from trtnemo.plan.plan import judge_deployment
from trtnemo.plan.server_memory import ServerMemory
from trtnemo.recipe import OwnRecipe

Layout = Literal["hub-v1", "cpu-v1"]
HUB: Literal["hub-v1"] = "hub-v1"
# called with (what is being done, bytes done, bytes in all; 0 where that is not known)
Progress = Callable[[str, int, int], None]
Graphs = Mapping[str, Graph | None]
Recipe = TypeVar("Recipe", bound=OwnRecipe)


def place_nothing(staging: Path) -> None:
    """Add no file to an engine."""


@dataclass(frozen=True)
class Prepared:
    """What a runtime made before an engine's directory is written: what places it there, and the tools' versions."""

    place: Callable[[Path], None] = place_nothing
    versions: dict[str, str] = field(default_factory=dict)


class OwnRuntime(Generic[Recipe]):
    """One of our own runtimes. Class attributes are its facts.

    cache_types: what `kv_cache.dtype` may ask for. cache_refusals: why it may not ask for others, where that is known.
    interprets: whether what runs on its device can be computed on a CPU instead, slowly (`--interpret`).
    """

    cache_types: ClassVar[tuple[str, ...]]
    cache_refusals: ClassVar[Mapping[str, str]] = {}
    memory: ClassVar[ServerMemory]
    interprets: ClassVar[bool] = False

    def check(self, recipe: Recipe) -> list[str]:
        """Return what was checked before a build, a sentence each; raises RecipeError or MachineError.

        Without sentences of its own, a runtime checks whether its weights can be laid out.
        """
        self.layout(recipe)
        return []

    def check_device(self, recipe: Recipe, network: Network, title: str, capability: str, made: str) -> list[str]:
        """Return the verdict on one device's memory, and a note where what is `made` is for another device.

        Raises RecipeError where the recipe asks for several, or where the network does not fit.
        """
        if recipe.hardware.count > 1:
            raise RecipeError(
                f"'hardware.count' is {recipe.hardware.count}: our {title} runtime uses one device",
                remedy="Set it to 1",
            )
        named = recipe_device(recipe.hardware)
        verdict = judge_deployment(network, self.deployment(recipe, network), named)
        if verdict.kind != "fits":  # every slot is allocated whole when the engine is loaded
            raise RecipeError(verdict.sentence, where="hardware", remedy="`trtnemo plan --recipe` shows what would fit")
        has = find_device(named.name).compute_capability if named.name in catalogue_names() else capability
        note = f"note: {named.title} has {has or 'none'}, these {made} run on {capability} only"
        return [verdict.sentence, *([note] if has != capability else [])]

    def layout(self, recipe: Recipe) -> Layout:
        """Return how an engine's weights lie; raises RecipeError or MachineError where they cannot."""
        return HUB

    def compute(self, recipe: Recipe) -> Literal["weight_only", "native"]:
        """Return what quantized layers compute in."""
        return "weight_only"

    def element_types(self, recipe: Recipe) -> dict[str, Any]:
        """Return a deployment's types of cache, states and weights."""
        raise NotImplementedError

    def deployment(self, recipe: Recipe, network: Network) -> Deployment:
        """Return the deployment that a plan is for; raises RecipeError where the network cannot serve it."""
        limits = recipe.limits.model_dump(include={"max_batch_size", "max_num_tokens", "max_seq_len"})
        fields = {**limits, "memory": self.memory, **self.element_types(recipe)}
        return checked_deployment(recipe, network.name, network.config, fields)

    @contextmanager
    def prepared(
        self, recipe: Recipe, checkpoint: Checkpoint, graphs: Graphs, output: Path, progress: Progress
    ) -> Iterator[Prepared]:
        """Yield what the runtime makes of the graphs; the engine is written within the block."""
        yield Prepared()

    def write_weights(self, checkpoint: Checkpoint, graphs: Graphs, directory: Path, progress: Progress) -> None:
        """Copy a checkpoint's weights into an engine's directory, which is named after the layout."""
        copy_small(checkpoint, ("config.json", "hf_quant_config.json", INDEX), directory)
        done, total = 0, sum(shard.stat().st_size for shard in checkpoint.shards)
        for shard in checkpoint.shards:
            progress(f"copying {shard.name}", done, total)
            shutil.copyfile(shard, directory / shard.name)
            done += shard.stat().st_size
        progress("writing the manifest", done, total)


def find_runtime(name: str) -> OwnRuntime[Any]:
    """Return the runtime that a recipe names, out of its folder."""
    runtime: OwnRuntime[Any] = importlib.import_module(f"{__package__}.{name}.runtime").RUNTIME
    return runtime


def copy_small(checkpoint: Checkpoint, names: Sequence[str], directory: Path) -> None:
    """Copy those files of a checkpoint that it has."""
    directory.mkdir(exist_ok=True)
    for name in names:
        if (checkpoint.directory / name).is_file():
            shutil.copyfile(checkpoint.directory / name, directory / name)

"""What the CUDA runtime honours of a recipe, and its kernels."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trtnemo.backends.cuda.compile import compile_kernels
from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX, KERNELS
from trtnemo.backends.cuda.request import CacheType, CompileRequest, Limits
from trtnemo.backends.runtime import Graphs, OwnRuntime, Prepared, Progress
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import RecipeError
from trtnemo.kernels.family import LEAST_CAPABILITY, LEAST_OF_FP8, fp4_tiles
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.hardware import catalogue_names, find_device
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.server_memory import NATIVE_DEVICE
from trtnemo.recipe import CudaRecipe

_KEY = "hardware.compute_capability"


class CudaRuntime(OwnRuntime[CudaRecipe]):
    """Our CUDA runtime: Triton kernels over torch tensors, on one GPU."""

    cache_types = ("auto", "bfloat16", "float16", "float32", "fp8")
    memory = NATIVE_DEVICE
    interprets = True

    def check(self, recipe: CudaRecipe) -> list[str]:
        """Return what was checked of device and memory; raises RecipeError or MachineError."""
        major, minor = read_capability(recipe)
        capability, network = f"{major}.{minor}", find_network(recipe.checkpoint, recipe.revision)
        _require_one_sequence(recipe)
        asked = {
            "FP4": recipe.cuda.native_fp4 and not fp4_tiles((major, minor)),
            "FP8": recipe.cuda.native_fp8 and (major, minor) < LEAST_OF_FP8,
        }
        for form, lacks in asked.items():
            if lacks:
                raise RecipeError(
                    f"compute capability {capability} has no {form} products, for 'cuda.native_{form.lower()}'",
                    remedy="Leave it out: such weights meet bfloat16 rows there, and lose nothing",
                )
        verdict = self.check_device(recipe, network, "CUDA", capability, "kernels")
        return [f"kernels are compiled for compute capability {capability}", *verdict]

    def element_types(self, recipe: CudaRecipe) -> dict[str, Any]:
        """Return a deployment's types."""
        return {"kv_dtype": cache_type(recipe), "ssm_dtype": recipe.cuda.ssm_state}

    def deployment(self, recipe: CudaRecipe, network: Network) -> Deployment:
        """Return the deployment that a plan is for: each sequence has its part of the KV cache."""
        whole = super().deployment(recipe, network)
        if recipe.cuda.kv_tokens is None:
            return whole
        part = -(-recipe.cuda.kv_tokens // recipe.limits.max_batch_size)
        return whole.model_copy(update={"max_seq_len": min(whole.max_seq_len, part)})

    @contextmanager
    def prepared(
        self, recipe: CudaRecipe, checkpoint: Checkpoint, graphs: Graphs, output: Path, progress: Progress
    ) -> Iterator[Prepared]:
        """Yield the compiled kernels, which are placed into the engine with their index."""
        if not recipe.cuda.compile_ahead:
            yield Prepared()
            return
        wanted = [graphs["target"], graphs["mtp"] if recipe.speculation.draft_tokens else None]
        recorded = [graph.to_json() for graph in wanted if graph is not None]
        with tempfile.TemporaryDirectory() as kept:
            request = CompileRequest(
                graphs=recorded, limits=limits_of(recipe), capability=read_capability(recipe), directory=kept
            )
            index = compile_kernels(request, lambda line: progress(f"compiling kernels: {line}", 0, 0))

            def place(staging: Path) -> None:
                shutil.copytree(kept, staging / KERNELS / "triton")
                (staging / KERNEL_INDEX).write_text(index.model_dump_json(indent=1), encoding="utf-8")

            yield Prepared(place, {"triton": index.triton})


def _require_one_sequence(recipe: CudaRecipe) -> None:
    tokens, longest = recipe.cuda.kv_tokens, recipe.limits.max_seq_len
    if tokens is not None and tokens < longest:
        raise RecipeError(
            f"'cuda.kv_tokens' is {tokens:,}, less than one sequence of {longest:,} tokens takes",
            remedy="Raise it, or lower limits.max_seq_len",
        )


def read_capability(recipe: CudaRecipe) -> tuple[int, int]:
    """Return the recipe's compute capability; raises RecipeError where it names none, or one without kernels."""
    text = recipe.hardware.compute_capability
    if text is None and recipe.hardware.name in catalogue_names():
        text = find_device(recipe.hardware.name).compute_capability
    if text is None:
        raise RecipeError(f"'{_KEY}' must say which device kernels are compiled for", remedy=f"--set {_KEY}=9.0")
    major, _, minor = text.partition(".")
    found = (int(major), int(minor))
    if found < LEAST_CAPABILITY:
        raise RecipeError(
            f"compute capability {text} has no bfloat16 products, which our kernels need",
            where=_KEY,
            remedy="Take a device of 8.0 or later",
        )
    return found


def cache_type(recipe: CudaRecipe) -> CacheType:
    """Return the caches' element type."""
    dtype = recipe.kv_cache.dtype
    return "bfloat16" if dtype == "auto" else dtype


def limits_of(recipe: CudaRecipe) -> Limits:
    """Return what an executor of a recipe is made for."""
    limits = recipe.limits
    return Limits(
        slots=limits.max_batch_size,
        max_seq_len=limits.max_seq_len,
        max_num_tokens=max(limits.max_num_tokens, limits.max_batch_size),
        draft_tokens=recipe.speculation.draft_tokens,
        cache=cache_type(recipe),
        state=recipe.cuda.ssm_state,
        kv_tokens=recipe.cuda.kv_tokens,
        fp8_drafts=recipe.cuda.fp8_drafts,
        native_fp4=recipe.cuda.native_fp4,
        native_fp8=recipe.cuda.native_fp8,
    )


RUNTIME = CudaRuntime()

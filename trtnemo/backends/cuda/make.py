"""An executor for a device: where its tensors lie, how long its rings are, what its numbers are."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trtnemo.backends.cuda.executor import CudaExecutor
from trtnemo.backends.cuda.forms import Room
from trtnemo.backends.cuda.pages import PagePool, pages_of
from trtnemo.backends.cuda.request import Limits
from trtnemo.backends.cuda.weights import Weights
from trtnemo.backends.executor import Budget
from trtnemo.graph import Graph
from trtnemo.kernels.family import family_of, fp4_tiles, overlaps
from trtnemo.kernels.half import HALF_EVERY
from trtnemo.kernels.launch import Launcher

_HISTORY = 16  # tokens before a step that convolutions read, and what a short segment brings beside its drafts
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "fp8": torch.uint8}


def make_launcher(device: torch.device, capability: tuple[int, int], limits: Limits) -> Launcher:
    """Return what launches an executor's kernels on a device of a capability."""
    return Launcher(
        device,
        family_of(capability),
        overlaps=overlaps(capability),
        fp4_tiles=fp4_tiles(capability) if limits.native_fp4 else 0,
        fp8_rows=limits.native_fp8,
    )


def make_executor(
    graphs: Sequence[Graph], weights: Weights, launch: Launcher, limits: Limits, budget: Budget
) -> CudaExecutor:
    """Return an executor with all its states allocated.

    In the interpreter all is float32 but FP8 caches and float16 states.
    """
    interpreted = launch.device.type == "cpu"
    cache = "float32" if interpreted and limits.cache != "fp8" else limits.cache
    every = HALF_EVERY if limits.state == "float16" else 1
    room = Room(
        slots=limits.slots + 1,
        pages=_pages(limits, launch.device),
        ring=1 << (_HISTORY + every + 2 * limits.draft_tokens - 1).bit_length(),
        every=every,
        device=launch.device,
        state_dtype=_DTYPES[limits.state],
        cache_dtype=_DTYPES[cache],
        dtype=torch.float32 if interpreted else torch.bfloat16,
    )
    return CudaExecutor(graphs[0], graphs[1] if graphs[1:] else None, weights, budget, launch, room)


def _pages(limits: Limits, device: torch.device) -> PagePool:
    per_slot = pages_of(limits.max_seq_len)
    total = limits.slots * per_slot if limits.kv_tokens is None else pages_of(limits.kv_tokens)
    return PagePool(total, limits.slots + 1, per_slot, device)

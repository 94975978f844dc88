"""Executors over checkpoints, for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from trtnemo.backends import Budget
from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.cpu.precision import Precision
from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.backends.tensorrt.lower.stored import stored_elements
from trtnemo.backends.tensorrt.run import TensorrtExecutor
from trtnemo.backends.tensorrt.run.interpreted import InterpretedPlans
from trtnemo.backends.torch import TorchExecutor, load_weights
from trtnemo.checkpoint import Checkpoint
from trtnemo.kernels.family import Family
from trtnemo.kernels.mode import interpret_kernels
from trtnemo.network import NemotronH
from trtnemo.network.context import ComputeMode
from trtnemo.runtime.load_tensorrt import assemble
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.library import find_library


def make_executor(directory: Path, slots: int = 8, max_seq_len: int = 4096, mtp: bool = True) -> TorchExecutor:
    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint)
    target = model.record_target()
    head = model.record_mtp() if mtp and checkpoint.config.has_mtp else None
    weights = load_weights(checkpoint, *(graph for graph in (target, head) if graph))
    return TorchExecutor(target, head, weights, Budget(slots, max_seq_len, 2048, 6, checkpoint.config.vocab_size))


EXACT = {"activations": "int16", "kv_cache": "float32"}


def make_native(
    directory: Path,
    slots: int = 8,
    max_seq_len: int = 4096,
    mtp: bool = True,
    threads: int = 2,
    max_num_tokens: int = 2048,
    **options: Any,
) -> CpuExecutor:
    """Return a native executor; activations in 16 bits and a float32 cache unless `options` say otherwise."""
    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint)
    target = model.record_target()
    head = model.record_mtp() if mtp and checkpoint.config.has_mtp else None
    budget = Budget(slots, max_seq_len, max_num_tokens, 6, checkpoint.config.vocab_size)
    kv_tokens = options.pop("kv_tokens", slots * max_seq_len)
    mapped = {name: options.pop(name, False) for name in ("lock_memory", "huge_pages")}
    chosen = CpuOptions(threads, kv_tokens, Precision(**{**EXACT, **options}), **mapped)
    with tempfile.TemporaryDirectory() as packed:  # the file stays mapped when its name is gone
        index = pack_weights(checkpoint, [graph for graph in (target, head) if graph], Path(packed), lambda *_: None)
        return CpuExecutor(Path(packed), index, target, head, budget, chosen)


def make_cuda(
    directory: Path,
    slots: int = 8,
    max_seq_len: int = 4096,
    mtp: bool = True,
    family: Family = "mma",
    **options: Any,
) -> Any:
    """Return an executor over interpreted kernels; `options`: further limits."""
    interpret_kernels()
    from trtnemo.backends.cuda.make import make_executor as make
    from trtnemo.backends.cuda.request import Limits
    from trtnemo.backends.cuda.weights import load_weights as load
    from trtnemo.kernels.launch import Launcher

    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint)
    graphs = [model.record_target(), *([model.record_mtp()] if mtp and checkpoint.config.has_mtp else [])]
    device = torch.device("cpu")
    sizes = {"slots": slots, "max_seq_len": max_seq_len, "max_num_tokens": 2048, "draft_tokens": 6}
    limits = Limits.model_validate({**sizes, "cache": "bfloat16", **options})
    budget = Budget(slots, max_seq_len, 2048, 6, checkpoint.config.vocab_size)
    weights = load(checkpoint, graphs, family, device, fp8_drafts=limits.fp8_drafts)
    return make(graphs, weights, Launcher(device, family), limits, budget)


def make_interpreted(
    directory: Path, *, compute: ComputeMode = "weight_only", slots: int = 8, max_seq_len: int = 4096, **changes: object
) -> TensorrtExecutor:
    """Return an executor over interpreted networks, none of them built; float32 unless `changes` say otherwise."""
    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint, compute)
    graphs = [model.record_target(), *([model.record_mtp()] if checkpoint.config.has_mtp else [])]
    types = {"activations": "float32", "products": "float32", "cache": "float32"}
    sizes = {"slots": slots, "capacity": max_seq_len + 64, "prefill_rows": 128, "keeps_rows": True}
    settings = Settings.model_validate({**types, **sizes, **changes})
    library, plain = find_library(), stored_elements(checkpoint, graphs)
    networks, programs = plan_networks(graphs, plain, settings)
    builder = PlanBuilder(library, (12, 0))
    records = tuple(emit(spec, settings, builder)[1] for spec in networks.values())
    index = PlanIndex(
        flavor=library.flavor,
        version=library.version,
        compute_capability="12.0",
        host="",
        settings=settings,
        plain=plain,
        plans=records,
        programs=programs,
    )
    plans = InterpretedPlans(index, networks, library)
    budget = Budget(slots, max_seq_len, 2048, 6, checkpoint.config.vocab_size)
    return assemble(graphs, programs, plans.open, settings, checkpoint, budget, torch.device("cpu"))

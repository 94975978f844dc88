"""From an engine with plans to its executor."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from trtnemo.backends import Budget
from trtnemo.backends.tensorrt.lower.index import PlanIndex, Programs
from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.settings import DECODE_ROWS, Settings
from trtnemo.backends.tensorrt.plans import PLAN_INDEX, read_index
from trtnemo.backends.tensorrt.run.bound import Open
from trtnemo.backends.tensorrt.run.deserialized import DeserializedPlans
from trtnemo.backends.tensorrt.run.executor import TensorrtExecutor
from trtnemo.backends.tensorrt.run.graph_runner import GraphRunner
from trtnemo.backends.tensorrt.run.interpreted import InterpretedPlans
from trtnemo.backends.tensorrt.run.states import States
from trtnemo.backends.tensorrt.run.weights import DeviceWeights
from trtnemo.checkpoint import Checkpoint
from trtnemo.engine import Engine
from trtnemo.errors import EngineError, MachineError
from trtnemo.graph import Graph
from trtnemo.recipe import TensorrtRecipe
from trtnemo.trt.library import Library, find_library

_REBUILD = "Rebuild the engine"


def load_tensorrt(engine: Engine, budget: Budget, interpret: bool) -> TensorrtExecutor:
    """Return the executor over an engine's plans; raises EngineError, or MachineError without a GPU.

    `interpret` executes their networks in torch on the CPU instead.
    """
    index = read_index(engine.directory)
    library = find_library(index.flavor)
    require_version(index, library)
    if not interpret and not torch.cuda.is_available():
        raise MachineError(
            "this machine has no NVIDIA GPU to run TensorRT plans: they were compiled and interpreted, never run",
            remedy="`trtnemo serve --engine DIR --interpret` runs their networks on the CPU, slowly",
        )
    if interpret:
        torch.set_num_threads(1)  # many small layers: threads would wait for each other more than they work
    device = torch.device("cpu" if interpret else "cuda")
    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    programs = find_programs(index, graphs)
    networks = plan_networks(graphs, index.plain, index.settings)[0] if interpret else {}
    plans = (
        InterpretedPlans(index, networks, library)
        if interpret
        else DeserializedPlans(engine.directory, index, library, device, _has_cuda_graphs(engine))
    )
    try:
        return assemble(graphs, programs, plans.open, index.settings, engine.checkpoint(), budget, device)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"weights and states do not fit the device: {str(error).splitlines()[0]}",
            where=str(engine.directory),
            remedy="`trtnemo plan --recipe` says which limits fit",
        ) from None


def assemble(
    graphs: Sequence[Graph],
    programs: Programs,
    open_plan: Open,
    settings: Settings,
    checkpoint: Checkpoint,
    budget: Budget,
    device: torch.device,
) -> TensorrtExecutor:
    """Return an executor of a target graph, and of its MTP graph where there is one, weights loaded."""
    states, weights = States(settings.slots, device), DeviceWeights(checkpoint, device)
    runners = [
        GraphRunner(
            graph,
            programs[graph.name],
            open_plan,
            weights,
            states,
            settings.slots * DECODE_ROWS,
        )
        for graph in graphs
    ]
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # what was copied here is read on another stream
    return TensorrtExecutor(runners[0], runners[1] if runners[1:] else None, states, settings, budget, device)


def find_programs(index: PlanIndex, graphs: Sequence[Graph]) -> Programs:
    """Return which plan runs which nodes: as the index lists it, or planned anew for an engine of 0.1.0.

    Raises EngineError where a plan or a node is missing.
    """
    listed = index.programs or plan_networks(graphs, index.plain, index.settings)[1]
    plans = {record.name for record in index.plans}
    programs: Programs = {}
    for graph in graphs:
        for phase, blocks in listed.get(graph.name, {}).items():
            for block in blocks:
                if block.plan not in plans:
                    raise EngineError(f"has no plan '{block.plan}'", where=PLAN_INDEX, remedy=_REBUILD)
                if not graph.by_name.keys() >= set(block.names):
                    raise EngineError(
                        f"runs nodes that '{graph.name}' does not have", where=PLAN_INDEX, remedy=_REBUILD
                    )
            programs.setdefault(graph.name, {})[phase] = tuple(block.of(graph) for block in blocks)
        if graph.name not in programs:
            raise EngineError(f"lists no plans of '{graph.name}'", where=PLAN_INDEX, remedy=_REBUILD)
    return programs


def _has_cuda_graphs(engine: Engine) -> bool:
    return isinstance(engine.recipe, TensorrtRecipe) and engine.recipe.tensorrt.cuda_graphs


def require_version(index: PlanIndex, library: Library) -> None:
    """Raise EngineError unless the installed TensorRT is the one that built the plans; no other loads them."""
    if library.version != index.version:
        raise EngineError(
            f"its plans were built by {library.product} {index.version}, installed is {library.version}",
            where=PLAN_INDEX,
            remedy=_REBUILD,
        )

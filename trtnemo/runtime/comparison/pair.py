"""An engine made for a device and the torch lowering of its graphs, fed the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trtnemo.backends import DraftToken, StepBatch, StepResult
from trtnemo.backends.step import Float32
from trtnemo.backends.tensorrt.lower.settings import Phase
from trtnemo.backends.tensorrt.run.bound import BoundPlan
from trtnemo.backends.tensorrt.run.graph_runner import GraphRunner
from trtnemo.backends.torch import TorchExecutor, load_weights
from trtnemo.engine import Engine
from trtnemo.errors import EngineError
from trtnemo.graph import Graph, Node
from trtnemo.network import NemotronH
from trtnemo.runtime.comparison.result import BlockError
from trtnemo.runtime.load import budget_of, load_executor

if TYPE_CHECKING:
    from typing_extensions import Self

Graphs = tuple[Graph, Graph | None]
Results = tuple[StepResult, StepResult]


class Pair:
    """Both executors; the torch one, on the CPU, computes each phase as the plans of that phase do."""

    def __init__(self, engine: Engine, interpret: bool = True) -> None:
        budget = budget_of(engine)
        self.engine, self.drafts = engine, budget.max_draft_tokens
        few = NemotronH.from_checkpoint(engine.checkpoint(), "weight_only")
        self._graphs: dict[Phase, Graphs] = {
            "prefill": (engine.target, engine.drafter),
            "decode": (few.record_target(), few.record_mtp() if engine.drafter else None),
        }
        graphs = [graph for graph in self._graphs["prefill"] if graph is not None]
        self.reference = TorchExecutor(*self._graphs["prefill"], load_weights(engine.checkpoint(), *graphs), budget)
        self.made: Any = load_executor(engine, interpret=interpret)
        self.phase: Phase = "prefill"

    def forward(self, batch: StepBatch, phase: Phase) -> Results:
        """Run a step on both: (made for a device, reference)."""
        self.phase = phase
        self.reference.target, self.reference.mtp = self._graphs[phase]
        expected = self.reference.forward(batch)
        return self.made.forward(batch), expected

    def draft(self, tokens: Sequence[DraftToken]) -> tuple[Float32, Float32]:
        """Draft on both."""
        self.phase = "decode"
        self.reference.target, self.reference.mtp = self._graphs["decode"]
        expected = self.reference.draft(tokens)
        return self.made.draft(tokens), expected

    def commit(self, slot: int, accepted: int) -> None:
        """Commit on both."""
        self.reference.commit(slot, accepted)
        self.made.commit(slot, accepted)

    def release(self, slots: Sequence[int]) -> None:
        """Release slots of both."""
        for slot in slots:
            self.reference.release(slot)
            self.made.release(slot)


class Watched:
    """Keeps each block's largest difference from the reference; used around a pair's steps."""

    def __init__(self, pair: Pair) -> None:
        self.errors: dict[tuple[str, str, Phase], BlockError] = {}
        self._pair = pair
        self._expected: dict[tuple[str, str], Tensor] = {}

    def __enter__(self) -> Self:
        self._pair.reference.watch = lambda graph, name, value: self._expected.__setitem__((graph, name), value)
        self.attach()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pair.reference.watch = None
        self.detach()

    def attach(self) -> None:
        """Watch what was made for a device."""
        raise NotImplementedError

    def detach(self) -> None:
        """Watch it no more."""
        raise NotImplementedError

    def note_logits(self, graph: str, phase: Phase, made: Float32, expected: Float32) -> None:
        """Hold logits, computed from the reference's hidden states, against the reference's."""
        self._note((f"{graph}.logits", "logits", phase), torch.from_numpy(made), torch.from_numpy(expected))

    def _note(self, key: tuple[str, str, Phase], made: Tensor, expected: Tensor) -> None:
        if made.shape != expected.shape:
            raise EngineError(f"gives {list(made.shape)}, the torch lowering {list(expected.shape)}", where=key[0])
        difference, largest = (made - expected).abs().max().item(), expected.abs().max().item()
        found = BlockError(*key, difference=difference, largest=largest)
        before = self.errors.get(key)
        if before is None or not found.relative <= before.relative:  # not a number counts as larger
            self.errors[key] = found


class PlanWatch(Watched):
    """Holds every plan's outputs against the reference's, and lets the reference's go on to the next plan."""

    def attach(self) -> None:
        """Watch the plans of both graphs."""
        for runner in self._runners():
            runner.watch = partial(self._hold, runner.graph.name)

    def detach(self) -> None:
        """Watch them no more."""
        for runner in self._runners():
            runner.watch = None

    def _runners(self) -> list[GraphRunner]:
        return [runner for runner in (self._pair.made.target, self._pair.made.mtp) if runner is not None]

    def _hold(self, graph: str, plan: BoundPlan, made: dict[str, Tensor]) -> dict[str, Tensor]:
        record, goes_on = plan.plan.record, {}
        for name, value in made.items():
            expected = self._expected.get((graph, name))
            if expected is None:  # what only plans pass on: a scaled query, the experts that were picked
                goes_on[name] = value
                continue
            self._note((plan.part.path, record.kind, record.phase), value.float().cpu(), expected)
            goes_on[name] = expected.to(value)
        return goes_on


class KernelWatch(Watched):
    """Holds what a layer adds up to against the reference's, and lets the reference's go on to the next layer."""

    def attach(self) -> None:
        """Watch the nodes of both graphs."""
        self._pair.made.runner.watch = self._hold

    def detach(self) -> None:
        """Watch them no more."""
        self._pair.made.runner.watch = None

    def _hold(self, graph: Graph, node: Node, value: Any) -> Any:
        layer = node.name.removesuffix(".add")
        expected = self._expected.get((graph.name, node.output))
        if layer == node.name or layer.endswith(".mixer") or expected is None:
            return value
        ops = [other.op.kind for other in graph.nodes if other.name.startswith(f"{layer}.mixer.")]
        kind = next((kind for kind in ops if kind not in ("linear", "relu2", "add")), "mlp")
        made = value.rows()
        self._note((layer, kind, self._pair.phase), made.float().cpu(), expected)
        return type(self._pair.made).given(expected.to(made.device))

"""A third op with state of its own: a folder elsewhere, its shared object compiled alone, run by torch and natively."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.backends.native_op import Tensors
from tests.support.paths import ROOT
from trtnemo.backends import Budget, DraftToken, Executor, make_batch
from trtnemo.backends.cpu import forms as native_forms
from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.cpu.precision import Precision
from trtnemo.backends.torch import TorchExecutor, forms, load_weights
from trtnemo.backends.torch.state import State
from trtnemo.graph import ROWS, TOKENS, DType, Graph, Node, ParameterSpec, ValueType, recording
from trtnemo.graph.op import _KINDS, Op
from trtnemo.graph.types import StateSpec
from trtnemo.native import require_native
from trtnemo.network import functional

WIDTH, VOCABULARY = 20, 48
SOURCE = ROOT / "tests" / "plugins" / "decay" / "decay_op.cpp"
INCLUDES = (
    "native",
    "native/cpu",
    *(f"native/cpu/{name}" for name in ("executor", "kernels", "memory", "ops", "simd")),
)
SHAPES = {
    "table": (VOCABULARY, WIDTH),
    "keep": (WIDTH,),
    "head": (VOCABULARY, WIDTH),
    "joint": (WIDTH, 2 * WIDTH),
}


class Decay(Op):
    """state = state * keep + x for each channel; the state is the output."""

    kind: ClassVar[str] = "decay"
    width: int

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the input's type."""
        return inputs[0]

    def states(self) -> tuple[StateSpec, ...]:
        """Return the running sum."""
        return (StateSpec(role="sum", dtype=DType.FLOAT32, shape=(self.width,), per_token=False),)


def advance(op: Decay, parameters: Mapping[str, Tensor], rows: Tensor, before: State | None) -> State:
    state = torch.zeros(op.width) if before is None else before[0]
    for row in rows:
        state = state * parameters["keep"] + row
    return (state,)


def run(op: Decay, node: Node, context: forms.StepContext, inputs: list[Tensor]) -> Tensor:
    parameters, outputs = {"keep": context.weight(node, "keep").values}, []
    for segment, slot in zip(context.segments, context.slots, strict=True):
        state, rows = slot.recurrent.get(node.name), inputs[0][segment.rows]
        for row in rows:
            state = advance(op, parameters, row[None], state)
            outputs.append(state[0])
        assert state is not None
        context.new_states[segment.slot, node.name] = state
        context.kept_rows[segment.slot, node.name] = rows
    return torch.stack(outputs)


def emit(site: native_forms.Site, node: Node, op: Decay, inputs: list[int], output: int) -> None:
    site.op(node, inputs, output, sizes={}, vectors=["keep"])


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile the op alone, load it, and register its forms; the core stays as it was built."""
    native = require_native()
    library = tmp_path_factory.mktemp("decay") / "decay.so"
    includes = [f"-I{ROOT / folder}" for folder in INCLUDES]
    command = ["c++", "-std=c++20", "-O2", "-ffp-contract=off", "-shared", "-fPIC", *includes, str(SOURCE)]
    subprocess.run([*command, str(native.__file__), "-o", str(library)], check=True)
    native.load_ops(str(library))
    importlib.import_module("trtnemo.backends.torch.ops")
    forms.register("decay", run, advance)
    native_forms.register("decay", emit)
    yield
    del forms.FORMS["decay"], native_forms.FORMS["decay"], _KINDS["decay"]


def graphs() -> tuple[Graph, Graph]:
    """Return a target network around the op, and a draft head beside it."""
    specs = {name: ParameterSpec(name=name, shape=shape) for name, shape in SHAPES.items()}
    tokens, rows = (ValueType(dtype=DType.INT64, shape=(axis,)) for axis in (TOKENS, ROWS))
    hidden_type = ValueType(dtype=DType.FLOAT32, shape=(TOKENS, WIDTH))
    with recording("target") as recorder:
        ids, wanted = recorder.input("token_ids", tokens), recorder.input("logit_rows", rows)
        x = functional.embedding("embedding", ids, specs["table"], DType.FLOAT32)
        hidden = functional.plugin("decay", Decay(width=WIDTH), [x], {"keep": specs["keep"]})
        chosen = functional.select_rows("rows", hidden, wanted)
        logits = functional.linear("head", chosen, specs["head"], "weight_only", DType.FLOAT32)
        target = recorder.finish({"hidden_states": hidden, "logits": logits})
    with recording("mtp") as recorder:
        ids, before = recorder.input("token_ids", tokens), recorder.input("hidden_states", hidden_type)
        wanted = recorder.input("logit_rows", rows)
        x = functional.embedding("embedding", ids, specs["table"], DType.FLOAT32)
        hidden = functional.linear(
            "joint", functional.concat("both", x, before), specs["joint"], "weight_only", DType.FLOAT32
        )
        logits = functional.linear(
            "head", functional.select_rows("rows", hidden, wanted), specs["head"], "weight_only", DType.FLOAT32
        )
        return target, recorder.finish({"hidden_states": hidden, "logits": logits})


@pytest.fixture(params=["torch", "native"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    torch.manual_seed(0)
    values: dict[str, Any] = {name: torch.randn(shape) / 4 for name, shape in SHAPES.items()}
    values["keep"] = torch.rand(WIDTH)
    checkpoint: Any = Tensors(values)
    target, mtp = graphs()
    budget = Budget(3, 64, 64, 6, VOCABULARY)
    if request.param == "torch":
        return TorchExecutor(target, mtp, load_weights(checkpoint, target, mtp), budget)
    index = pack_weights(checkpoint, [target, mtp], tmp_path, lambda *_: None)
    return CpuExecutor(tmp_path, index, target, mtp, budget, CpuOptions(2, 64, Precision(kv_cache="float32")))


def expected(tokens: list[int]) -> np.ndarray[Any, Any]:
    """Return the logits after each token by the formula itself."""
    torch.manual_seed(0)
    values = {name: torch.randn(shape) / 4 for name, shape in SHAPES.items()}
    keep = torch.rand(WIDTH)
    state, rows = torch.zeros(WIDTH), []
    for token in tokens:
        state = state * keep + values["table"][token]
        rows.append(values["head"] @ state)
    return torch.stack(rows).numpy()


def logits_of(executor: Executor, slot: int, position: int, ids: list[int], speculative: bool = False) -> Any:
    return executor.forward(make_batch([(slot, position, ids, speculative)])).logits


TEXT = [3, 7, 7, 41, 0, 12, 30, 9]


def test_it_computes_its_formula_however_a_prompt_is_cut(executor: Executor) -> None:
    whole = logits_of(executor, 0, 0, TEXT)
    pieces = [logits_of(executor, 1, start, TEXT[start : start + 3]) for start in range(0, len(TEXT), 3)]
    np.testing.assert_allclose(whole, expected(TEXT), atol=1e-5)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)


@pytest.mark.parametrize("accepted", [0, 1, 3])
def test_its_state_moves_over_accepted_drafts_alone(executor: Executor, accepted: int) -> None:
    logits_of(executor, 0, 0, TEXT[:4])
    assert executor.draft([DraftToken(0, TEXT[4])]).shape == (1, VOCABULARY)
    under_verification = [*TEXT[4:6], 2, 2]
    np.testing.assert_allclose(
        logits_of(executor, 0, 4, under_verification, speculative=True),
        expected([*TEXT[:4], *under_verification])[4:],
        atol=1e-5,
    )
    executor.commit(0, accepted)
    after = [*TEXT[:4], *under_verification[:accepted], 5]
    np.testing.assert_allclose(logits_of(executor, 0, 4 + accepted, [5])[0], expected(after)[-1], atol=1e-5)


def test_a_snapshot_brings_its_state_back(executor: Executor) -> None:
    logits_of(executor, 0, 0, TEXT[:5])
    kept = executor.snapshot(0)
    logits_of(executor, 0, 5, [1, 1, 1])
    executor.restore(2, kept)
    np.testing.assert_allclose(logits_of(executor, 2, 5, [8])[0], expected([*TEXT[:5], 8])[-1], atol=1e-5)


def test_a_kind_that_nobody_registered_is_named(tmp_path: Path) -> None:
    target, _ = graphs()
    checkpoint: Any = Tensors({name: torch.zeros(shape) for name, shape in SHAPES.items()})
    index = pack_weights(checkpoint, [target], tmp_path, lambda *_: None)
    form = native_forms.FORMS.pop("decay")
    try:
        with pytest.raises(Exception, match="op 'decay' has no native form"):
            CpuExecutor(tmp_path, index, target, None, Budget(1, 8, 8, 0, VOCABULARY), CpuOptions(1, 8))
    finally:
        native_forms.FORMS["decay"] = form

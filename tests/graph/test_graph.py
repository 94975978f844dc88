"""Graphs: typed while recording, whole again from JSON, refused when edited."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import EngineError
from trtnemo.graph import TOKENS, DType, Graph, ValueType, current_recorder, recording
from trtnemo.graph.ops import Add, Linear
from trtnemo.network import NemotronH


@pytest.fixture(scope="module")
def graph(make_checkpoint: Any) -> Graph:
    return NemotronH.from_checkpoint(Checkpoint.open(make_checkpoint("mixed"))).record_target()


def test_a_graph_is_the_same_after_json(graph: Any) -> None:
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


def test_inputs_and_outputs_have_the_types_the_executors_rely_on(graph: Any) -> None:
    assert graph.inputs["token_ids"] == ValueType(dtype=DType.INT64, shape=("tokens",))
    assert graph.values[graph.outputs["logits"]] == ValueType(dtype=DType.FLOAT32, shape=("rows", 4096))
    assert graph.values[graph.outputs["hidden_states"]].shape == ("tokens", 128)


def test_the_router_is_computed_in_float32(graph: Any) -> None:
    routers = [node for node in graph.nodes if node.name.endswith(".gate")]
    assert len(routers) == 3
    assert all(graph.values[node.output].dtype is DType.FLOAT32 for node in routers)


def test_states_are_those_of_the_mixers(graph: Any) -> None:
    states = [(node.op.kind, state.role, state.shape, state.per_token) for node, state in graph.states()]
    assert states.count(("mamba2", "conv_state", (3, 384), False)) == 3
    assert states.count(("mamba2", "ssm_state", (8, 32, 32), False)) == 3
    assert states.count(("attention", "keys", (2, 32), True)) == 1
    assert len(states) == 8


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data["nodes"][3]["inputs"].__setitem__(0, "nowhere"),
        lambda data: data["nodes"][3]["op"].__setitem__("kind", "mystery"),
        lambda data: data["nodes"][2]["op"].__setitem__("rows", 7),
        lambda data: data["nodes"][2]["op"].__setitem__("extra", 7),
        lambda data: data["nodes"][2]["parameters"].__setitem__("weight", "gone"),
        lambda data: data["outputs"].__setitem__("logits", "gone"),
        lambda data: data.pop("values"),
        lambda data: data["nodes"].reverse(),
    ],
)
def test_an_edited_graph_is_refused(graph: Any, spoil: Any) -> None:
    data = json.loads(json.dumps(graph.to_json()))
    spoil(data)
    with pytest.raises(EngineError, match=r"graph\.json"):
        Graph.from_json(data)


def test_values_that_do_not_fit_are_refused_while_recording() -> None:
    with recording("x") as recorder:
        x = recorder.input("x", ValueType(dtype=DType.BFLOAT16, shape=(TOKENS, 8)))
        y = recorder.input("y", ValueType(dtype=DType.BFLOAT16, shape=(TOKENS, 9)))
        with pytest.raises(ValueError, match="add"):
            recorder.record("sum", Add(), [x, y])
        with pytest.raises(ValueError, match="linear of 9 columns over width 8"):
            recorder.record("product", Linear(rows=4, columns=9, out_dtype=DType.BFLOAT16), [x])


def test_nothing_is_recorded_outside_a_recorder() -> None:
    with pytest.raises(RuntimeError, match="recording"):
        current_recorder()

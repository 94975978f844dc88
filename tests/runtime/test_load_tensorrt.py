"""Which plan runs which nodes is read from an engine's index; an engine of 0.1.0, which lists none, still loads."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trtnemo.backends.tensorrt.lower import networks
from trtnemo.backends.tensorrt.lower.index import PlanIndex
from trtnemo.backends.tensorrt.plans import PLAN_INDEX, read_index
from trtnemo.engine import Engine
from trtnemo.errors import EngineError
from trtnemo.runtime import load_tensorrt
from trtnemo.runtime.load_tensorrt import find_programs


@pytest.fixture(scope="module")
def opened(make_plans: Any) -> Any:
    engine = Engine.open(make_plans("mixed"))
    return read_index(engine.directory), [engine.target, engine.mtp]


def as_listed(programs: Any) -> Any:
    return [
        (name, phase, block.model_dump())
        for name, phases in programs.items()
        for phase, blocks in phases.items()
        for block in blocks
    ]


def test_the_index_lists_what_was_planned_for_the_build(opened: Any) -> None:
    index, graphs = opened
    planned = networks.plan_networks(graphs, index.plain, index.settings)[1]
    assert as_listed(find_programs(index, graphs)) == as_listed(planned)
    assert {record.name for record in index.plans} == {block["plan"] for _, _, block in as_listed(planned)}


def test_an_engine_loads_without_planning_anew(opened: Any, make_plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index, _ = opened
    # a later version would cut and name its networks otherwise: what this engine lists must not depend on that
    monkeypatch.setattr(load_tensorrt, "plan_networks", lambda *_: pytest.fail("planned anew"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(load_tensorrt, "DeserializedPlans", lambda *_: SimpleNamespace(open=None))
    programs: list[Any] = []
    budget: Any = None
    monkeypatch.setattr(load_tensorrt, "assemble", lambda graphs, found, *_: programs.append(found))
    load_tensorrt.load_tensorrt(Engine.open(make_plans("mixed")), budget, interpret=False)
    assert as_listed(programs[0]) == as_listed(index.programs)


def test_blocks_of_the_index_know_their_nodes_parameters_and_types(opened: Any) -> None:
    index, graphs = opened
    planned = networks.plan_networks(graphs, index.plain, index.settings)[1]
    for name, phases in find_programs(index, graphs).items():
        for phase, blocks in phases.items():
            for block, fresh in zip(blocks, planned[name][phase], strict=True):
                assert block.signature() == fresh.signature()


def test_an_index_of_0_1_0_has_no_programs_and_is_planned_anew(opened: Any) -> None:
    index, graphs = opened
    old = json.loads(index.model_dump_json(exclude={"programs": True, "plans": {"__all__": {"built_from", "sha256"}}}))
    assert set(old) == {"flavor", "version", "compute_capability", "host", "settings", "plain", "plans"}
    read = PlanIndex.model_validate(old)
    assert as_listed(find_programs(read, graphs)) == as_listed(find_programs(index, graphs))


def drop_plan(index: Any) -> None:
    index["plans"] = index["plans"][1:]


def drop_graph(index: Any) -> None:
    del index["programs"]["mtp"]


def rename_node(index: Any) -> None:
    index["programs"]["target"]["decode"][0]["names"] = ["nobody"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(drop_plan, "has no plan '"), (drop_graph, "lists no plans of 'mtp'"), (rename_node, "'target' does not have")],
)
def test_an_index_that_does_not_fit_its_engine_is_refused(make_plans: Any, spoil: Any, words: str) -> None:
    source = make_plans("mixed")
    index = json.loads((source / PLAN_INDEX).read_text())
    spoil(index)
    engine = Engine.open(source)
    assert engine.mtp is not None
    with pytest.raises(EngineError, match=words):
        find_programs(PlanIndex.model_validate(index), [engine.target, engine.mtp])

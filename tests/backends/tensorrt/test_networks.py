"""From graphs to networks: which layers share one, what their names depend on, what is refused and where."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.forms import FORMS, TensorrtForm
from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.settings import PHASES, Settings
from trtnemo.backends.tensorrt.lower.stored import stored_elements
from trtnemo.backends.torch.forms import FORMS as TORCH_FORMS
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import EngineError
from trtnemo.network import NemotronH
from trtnemo.plugins import load_forms
from trtnemo.recipe import TensorrtRecipe, load_recipe
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.library import find_library

SETTINGS = Settings.from_recipe(cast("TensorrtRecipe", load_recipe("rtx-pro-6000")))


@pytest.fixture(scope="module")
def model(make_checkpoint: Any) -> Any:
    """Return (graphs, stored element types) of a checkpoint whose layers are stored in several formats."""
    checkpoint = Checkpoint.open(make_checkpoint("mixed"))
    network = NemotronH.from_checkpoint(checkpoint, "native")
    graphs = [network.record_target(), network.record_mtp()]
    return graphs, stored_elements(checkpoint, graphs)


def test_every_op_that_torch_has_a_form_for_has_one_here() -> None:
    load_forms("torch")
    load_forms("tensorrt_form")
    assert FORMS.keys() | {"attention"} == TORCH_FORMS.keys()


def test_every_node_is_in_one_block_of_each_phase_but_what_no_prefill_needs(model: Any) -> None:
    graphs, plain = model
    _, programs = plan_networks(graphs, plain, SETTINGS)
    target, mtp = graphs
    for graph, phase in itertools.product(graphs, PHASES):
        # a block may run from several plans: its cache, then the rest
        names = {name for block in programs[graph.name][phase] for name in block.names}
        wanted = [node.name for node in graph.nodes]
        if phase == "prefill" and graph is target:
            wanted = wanted[:-2]  # logits
        if phase == "prefill" and graph is mtp:
            place = next(index for index, node in enumerate(mtp.nodes) if node.op.kind == "attention")
            wanted = [name for name in wanted if name in names or name in wanted[: place + 1]]
        assert sorted(names) == sorted(wanted)


def test_a_prefill_of_the_draft_head_ends_with_its_cache(model: Any) -> None:
    graphs, plain = model
    _, programs = plan_networks(graphs, plain, SETTINGS)
    assert programs["mtp"]["prefill"][-1].plan.startswith("cache-prefill-")


def test_a_network_is_shared_only_by_layers_stored_alike(model: Any) -> None:
    graphs, plain = model
    networks, _ = plan_networks(graphs, plain, SETTINGS)
    for spec in networks.values():
        layers = [block for block in _blocks(graphs, plain) if block.plan == spec.name]
        assert len({block.signature() for block in layers}) == 1
        assert set(spec.paths) == {block.path for block in layers}


def _blocks(graphs: Any, plain: Any) -> Any:
    _, programs = plan_networks(graphs, plain, SETTINGS)
    return [block for phases in programs.values() for blocks in phases.values() for block in blocks]


@pytest.mark.parametrize("change", [{"slots": 2}, {"capacity": 4096}, {"prefill_rows": 64}, {"cache": "float32"}])
def test_names_depend_on_what_plans_are_built_for(model: Any, change: dict[str, Any]) -> None:
    graphs, plain = model
    other = SETTINGS.model_validate({**SETTINGS.model_dump(), **change})
    assert not plan_networks(graphs, plain, SETTINGS)[0].keys() & plan_networks(graphs, plain, other)[0].keys()


def _emit_all(model: Any) -> None:
    graphs, plain = model
    builder = PlanBuilder(find_library(), (12, 0))
    for spec in plan_networks(graphs, plain, SETTINGS)[0].values():
        emit(spec, SETTINGS, builder)


def test_an_op_without_a_form_is_refused_with_its_node(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FORMS, "relu2")
    with pytest.raises(EngineError, match=r"^backbone\.layers\.\d+.*: op 'relu2' has no TensorRT form"):
        _emit_all(model)


def test_a_layer_that_tensorrt_refuses_is_told_with_its_place(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        FORMS, "add", TensorrtForm(lambda op, node, site, inputs: site.net.top_k(inputs[0], 10**9, 1)[0])
    )
    with pytest.raises(EngineError, match=r"^backbone\.layers\.\d+"):
        _emit_all(model)

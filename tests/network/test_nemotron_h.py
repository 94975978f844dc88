"""NemotronH: parameters by the checkpoint's names, for every shape of the family."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.checkpoints import configs
from trtnemo.checkpoint import Checkpoint, QuantizationMap, WeightFormat, expected_tensors, parse_config
from trtnemo.errors import CheckpointError
from trtnemo.network import BuildContext, NemotronH

BASE = {**configs.BASE, "num_nextn_predict_layers": 1, "intermediate_size": 96}
FP8, NVFP4 = WeightFormat.FP8, WeightFormat.NVFP4


def stored(model: NemotronH) -> dict[str, tuple[int, ...]]:
    graphs = [model.record_target(), *([model.record_mtp()] if model.mtp else [])]
    members = [member for graph in graphs for spec in graph.parameters.values() for member in spec.members()]
    return {name: shape for member in members for name, shape in member.stored()}


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
def test_graph_parameters_are_exactly_the_checkpoints_tensors(make_checkpoint: Any, precision: str) -> None:
    checkpoint = Checkpoint.open(make_checkpoint(precision))
    expected = {
        name: info.shape for name, info in checkpoint.tensors.items() if not name.endswith((".k_scale", ".v_scale"))
    }
    assert stored(NemotronH.from_checkpoint(checkpoint)) == expected


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({}, {}),
        ({"moe_latent_size": None}, {}),
        ({"hybrid_override_pattern": "M-M*-"}, {"backbone.layers.1.mixer.up_proj": FP8}),
        ({"tie_word_embeddings": True}, {}),
        ({}, {"lm_head": NVFP4}),
        ({"num_nextn_predict_layers": 0}, {}),
        ({"use_conv_bias": False}, {}),
        ({"n_shared_experts": 0}, {}),
        ({"mtp_hybrid_override_pattern": "*EE"}, {}),
    ],
)
def test_every_shape_of_the_family_names_what_its_checkpoint_holds(changes: dict[str, Any], layers: Any) -> None:
    config, quantization = parse_config({**BASE, **changes}), QuantizationMap(layers=layers)
    expected = {item.name: item.shape for item in expected_tensors(config, quantization)}
    assert stored(NemotronH(BuildContext(config, quantization))) == expected


def test_the_mtp_graph_shares_embedding_and_head_with_the_target() -> None:
    model = NemotronH(BuildContext(parse_config(BASE), QuantizationMap()))
    shared = model.record_target().parameters.keys() & model.record_mtp().parameters.keys()
    assert shared == {"backbone.embeddings.weight", "lm_head.weight"}


def test_native_compute_follows_each_layers_format() -> None:
    layers = {"backbone.layers.0.mixer.in_proj": FP8, "lm_head": NVFP4, "backbone.layers.1.mixer.experts": NVFP4}
    context = BuildContext(parse_config(BASE), QuantizationMap(layers=layers), "native")
    compute = {n.name: n.op.compute for n in NemotronH(context).record_target().nodes if hasattr(n.op, "compute")}
    assert compute["backbone.layers.0.mixer.in_proj"] == "w8a8"
    assert compute["lm_head"] == compute["backbone.layers.1.mixer.experts"] == "w4a4"
    assert compute["backbone.layers.0.mixer.out_proj"] == compute["backbone.layers.1.mixer.gate"] == "weight_only"


def test_experts_of_one_layer_in_two_formats_are_refused() -> None:
    layers = {"backbone.layers.1.mixer.experts.3.up_proj": NVFP4}
    with pytest.raises(CheckpointError, match="several formats"):
        NemotronH(BuildContext(parse_config(BASE), QuantizationMap(layers=layers)))


def test_a_network_without_a_head_records_no_draft_graph() -> None:
    model = NemotronH(BuildContext(parse_config({**BASE, "num_nextn_predict_layers": 0}), QuantizationMap()))
    with pytest.raises(RuntimeError, match="no MTP head"):
        model.record_mtp()

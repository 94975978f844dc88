"""Streamed calibration sees what the whole network sees, and ModelOpt's calibration gives the same scales."""

from __future__ import annotations

import math
import shutil
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tests.support.checkpoints.formats import CALIBRATION, EVERY_KIND, QUANTIZED
from tests.support.checkpoints.spoil import edit_tensors
from tests.support.oracle import load_model
from trtnemo.backends.torch.streamed.calibrate import calibrate
from trtnemo.backends.torch.streamed.run import run_streamed
from trtnemo.backends.torch.streamed.weights import StreamedWeights
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.rewrite.maps.patterns import map_of_patterns
from trtnemo.checkpoint.rewrite.quantizing.scalars import scalars_of
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.network import NemotronH


@pytest.mark.parametrize(("name", "formats"), [("quantized", QUANTIZED), ("every-kind", EVERY_KIND)])
def test_scales_are_those_that_modelopt_calibrates(
    make_checkpoint: Any, made_by_modelopt: Path, name: str, formats: Any
) -> None:
    source, theirs = Checkpoint.open(make_checkpoint("bf16")), Checkpoint.open(made_by_modelopt / name)
    target = map_of_patterns(source.config, formats, every=True)
    target = QuantizationMap(layers=target.layers, fp8_kv_cache=True)
    found = calibrate(source, CALIBRATION)
    ours = scalars_of(source.config, target, found.inputs, found.cached, "here").values
    expected = {tensor: float(decode_plain(theirs.read(tensor)).reshape(())) for tensor in theirs.tensors
                if tensor.endswith((".input_scale", ".k_scale", ".v_scale"))}  # fmt: skip
    assert ours.keys() == expected.keys()
    assert any(tensor.endswith(".v_scale") for tensor in ours)
    # ModelOpt's network runs in bfloat16, ours in float32
    assert {tensor: ours[tensor] / value for tensor, value in expected.items()
            if not 0.98 < ours[tensor] / value < 1.02} == {}  # fmt: skip


def test_hidden_states_are_those_of_transformers_and_no_weight_is_held(make_checkpoint: Any) -> None:
    checkpoint = Checkpoint.open(make_checkpoint("bf16"))
    graph = NemotronH.from_checkpoint(checkpoint).record_target()
    texts = [list(range(200, 230)), [7], list(range(40, 60))]
    weights = StreamedWeights(checkpoint, graph)
    with mock.patch.object(weights, "load", wraps=weights.load) as load:
        *_, (_, hidden) = run_streamed(graph, weights, texts)
    names = [call.args[0].name for call in load.call_args_list]
    assert max(names.count(name) for name in names) == 1
    assert not any("lm_head" in name or "embeddings" in name for name in names)
    model = load_model(checkpoint.directory).model
    with torch.no_grad():
        expected = torch.cat([model(torch.tensor([text])).last_hidden_state[0] for text in texts])
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-4)


def test_inputs_without_numbers_and_layers_that_saw_nothing_are_told(make_checkpoint: Any) -> None:
    config = Checkpoint.open(make_checkpoint("bf16")).config
    target = map_of_patterns(config, {"backbone.layers.0.mixer.in_proj": "fp8"}, every=True)
    with pytest.raises(UsageError, match=r"layers\.0\.mixer\.in_proj: its inputs were not seen"):
        scalars_of(config, target, {}, {}, "here")
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        scalars_of(config, target, {"backbone.layers.0.mixer.in_proj": float("nan")}, {}, "here")
    zeros = scalars_of(config, target, {"backbone.layers.0.mixer.in_proj": 0.0}, {}, "here").values
    assert zeros == {"backbone.layers.0.mixer.in_proj.input_scale": 1.0}


def test_one_number_that_is_none_is_not_lost_among_others(make_checkpoint: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(make_checkpoint("bf16"), tmp_path / "copy"))
    edit_tensors(copy, lambda tensors: tensors["backbone.layers.1.mixer.experts.3.up_proj.weight"].fill_(float("nan")))
    found = calibrate(Checkpoint.open(copy), [list(range(300))])
    assert math.isnan(found.inputs["backbone.layers.1.mixer.experts.0.down_proj"])
    assert math.isfinite(found.inputs["backbone.layers.1.mixer.experts.0.up_proj"])


def test_values_are_dropped_when_no_node_needs_them(make_checkpoint: Any) -> None:
    checkpoint = Checkpoint.open(make_checkpoint("bf16"))
    graph = NemotronH.from_checkpoint(checkpoint).record_target()
    alive: list[weakref.ref[Any]] = []
    most = 0
    for _, value in run_streamed(graph, StreamedWeights(checkpoint, graph), [list(range(50))]):
        alive.append(weakref.ref(value))
        most = max(most, sum(ref() is not None for ref in alive))
    assert most <= 6 < len(alive)

"""Divergence, perplexity and worst layers are what transformers' own logits give."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.checkpoints.spoil import edit_config, edit_tensors
from tests.support.oracle import load_model
from trtnemo.backends.torch.streamed.calibrate import calibrate
from trtnemo.backends.torch.streamed.compare import compare_logits
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
from trtnemo.errors import CheckpointError, UsageError

TEXTS = [list(range(200, 270)), [5], list(range(31, 60))]


@pytest.fixture
def pair(make_checkpoint: Any, shared: Any) -> tuple[Checkpoint, Checkpoint]:
    source = Checkpoint.open(make_checkpoint("bf16"))
    target = weight_only(map_of_patterns(source.config, PRESETS["nvfp4"], every=False))[0]
    place = shared("weight-only", lambda output: quantize_stream(source, output, target))
    return source, Checkpoint.open(place)


def test_numbers_are_those_of_transformers_logits(pair: tuple[Checkpoint, Checkpoint]) -> None:
    found = compare_logits(*pair, TEXTS)
    models = [load_model(one.directory) for one in pair]
    rows = []
    with torch.no_grad():
        for model in models:
            rows.append(torch.cat([model(torch.tensor([text])).logits[0, :-1].log_softmax(-1) for text in TEXTS]))
    ours, theirs = rows
    kl = (ours.exp() * (ours - theirs)).sum(-1)
    targets = torch.tensor([token for text in TEXTS for token in text[1:]])
    perplexities = [math.exp(-one.gather(1, targets[:, None]).mean().item()) for one in rows]
    assert found.kl == pytest.approx(kl.mean().item(), rel=1e-3)
    assert found.kl > 1e-3
    assert found.kl_largest == pytest.approx(kl.max().item(), rel=1e-2)
    assert found.top_1 == pytest.approx((ours.argmax(-1) == theirs.argmax(-1)).float().mean().item(), abs=0.011)
    assert found.perplexities == pytest.approx(perplexities, rel=1e-4)
    assert (found.tokens, found.texts) == (100, 3)


def test_layer_that_was_changed_is_the_one_that_is_named(make_checkpoint: Any, tmp_path: Path) -> None:
    source = Checkpoint.open(make_checkpoint("bf16"))
    copy = Path(shutil.copytree(source.directory, tmp_path / "copy"))
    edit_tensors(copy, lambda tensors: tensors["backbone.layers.3.mixer.v_proj.weight"].mul_(1.25))
    found = {one.layer: one for one in compare_logits(source, Checkpoint.open(copy), TEXTS).layers}
    assert [layer for layer, one in found.items() if one.own_db != math.inf] == ["backbone.layers.3"]
    # a quarter more of the output: noise of 1/16
    assert found["backbone.layers.3"].own_db == pytest.approx(10 * math.log10(16), abs=0.1)
    assert found["backbone.layers.2"].stream_db == math.inf
    assert found["backbone.layers.6"].stream_db != math.inf


def test_checkpoint_is_the_same_as_itself(pair: tuple[Checkpoint, Checkpoint]) -> None:
    found = compare_logits(pair[1], pair[1], TEXTS)
    assert (found.kl, found.kl_largest, found.top_1) == (0, 0, 1)
    assert found.perplexities[0] == found.perplexities[1]


def test_other_networks_and_texts_without_a_next_token_are_refused(pair: tuple[Checkpoint, Checkpoint]) -> None:
    with pytest.raises(CheckpointError, match="of another network"):
        compare_logits(pair[0], Checkpoint.open("tiny"), TEXTS)
    with pytest.raises(UsageError, match="nothing is predicted"):
        compare_logits(*pair, [[1], [2]])


def test_predictions_that_count_are_those_of_the_tokens_that_are_marked(pair: tuple[Checkpoint, Checkpoint]) -> None:
    text = list(range(200, 240))
    marked = [[10 <= place < 25 for place in range(len(text))]]
    found = compare_logits(*pair, [text], counted=marked)
    model = load_model(pair[0].directory)
    with torch.no_grad():
        logs = model(torch.tensor([text])).logits[0, :-1].log_softmax(-1)
    targets = torch.tensor(text[1:])
    own = -logs.gather(1, targets[:, None])[9:24].mean()
    assert found.perplexities[0] == pytest.approx(math.exp(own.item()), rel=1e-4)


def test_fine_tune_with_longer_context_and_no_head_is_compared(
    pair: tuple[Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pair[0].directory, tmp_path / "copy"))
    edit_config(copy, max_position_embeddings=4096, num_nextn_predict_layers=0)
    edit_tensors(copy, lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("mtp.")])
    assert compare_logits(pair[0], Checkpoint.open(copy), TEXTS).kl == 0


def test_checkpoint_that_is_not_whole_is_told_before_it_is_run(
    pair: tuple[Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pair[0].directory, tmp_path / "copy"))
    edit_tensors(copy, lambda tensors: tensors.update(
        {"backbone.layers.3.mixer.q_proj.weight": torch.zeros(64, 128).bfloat16()}))  # fmt: skip
    with pytest.raises(CheckpointError, match=r"q_proj\.weight: is BF16|q_proj\.weight: is 64x128"):
        compare_logits(pair[0], Checkpoint.open(copy), TEXTS)
    with pytest.raises(CheckpointError, match="q_proj"):
        calibrate(Checkpoint.open(copy), TEXTS)


def test_embedding_at_an_odd_place_is_read_too(pair: tuple[Checkpoint, Checkpoint], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pair[0].directory, tmp_path / "copy"))
    path = copy / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    path.write_bytes((length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :])
    assert compare_logits(pair[0], Checkpoint.open(copy), TEXTS).kl == 0

"""A trained network, quantized by us with our own calibration, predicts as ModelOpt's export of it does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.support.commands import trtnemo
from training.tiny.chats.corpus import generate
from training.tiny.tokenizer import answers, render
from trtnemo.backends.torch.streamed.compare import compare_logits
from trtnemo.checkpoint import Checkpoint
from trtnemo.cli.weights.texts import tokenize

TRAINED, UNSEEN = 1, 2026  # seeds of the corpus


def chats(seed: int, count: int) -> list[str]:
    return [render(sample) for sample in itertools.islice(generate(seed), count)]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["super", "nvfp4"])
def test_perplexity_lies_within_a_thousandth_of_modelopts(bf16_tiny: Path, tmp_path: Path, preset: str) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("\n".join(json.dumps({"text": chat}) for chat in chats(TRAINED, 30)))
    words = ("quantize", bf16_tiny, tmp_path / "ours", "--preset", preset, "--calibrate", texts)
    for command in (words, (*words[:2], tmp_path / "theirs", "--preset", preset, "--calibration", texts)):
        done = trtnemo(*command)
        assert done.returncode == 0, done.stderr
    plain, ours, theirs = (Checkpoint.open(place) for place in (bf16_tiny, tmp_path / "ours", tmp_path / "theirs"))
    ids = tokenize(bf16_tiny, chats(UNSEEN, 60), plain.config.vocab_size, 8000)
    counted = [answers(text) for text in ids]  # what the network was trained to predict
    beside, cost = (compare_logits(one, ours, ids, counted=counted) for one in (theirs, plain))
    print(f"\n{preset}: perplexity {cost.perplexities[0]:.4f} in BF16, {beside.perplexities[0]:.4f} "
          f"by ModelOpt, {beside.perplexities[1]:.4f} by us; KL {cost.kl:.1e} of quantizing, {beside.kl:.1e} between, "
          f"top-1 {beside.top_1:.4f}")  # fmt: skip
    assert beside.perplexities[1] == pytest.approx(beside.perplexities[0], rel=1e-3)
    assert beside.top_1 > 0.99
    assert cost.kl > 0  # the comparison can tell

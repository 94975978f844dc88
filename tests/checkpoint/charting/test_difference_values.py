"""What a picture of a comparison shows, beside numpy on the tensors themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.checkpoints.damage import load, save
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.charting.difference_values import difference_values
from trtnemo.checkpoint.comparing.compare import compare_checkpoints

EXPERT = "backbone.layers.1.mixer.experts.3.up_proj.weight"


def values(one: Any, other: Any) -> Any:
    first, second = Checkpoint.open(one), Checkpoint.open(other)
    return difference_values(first, second, compare_checkpoints(first, second), first.tensors)


def test_noise_and_moved_codes_are_as_numpy_has_them(make_checkpoint: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    before = content[EXPERT].double().numpy().copy()
    content[EXPERT][:5] *= 1.25
    save(directory, content)
    found = values(make_checkpoint("bf16"), directory)
    noise = content[EXPERT].double().numpy() - before
    decibels = 10 * np.log10(np.square(before).sum() / np.square(noise).sum())
    assert found[EXPERT].snr_db == pytest.approx(decibels, rel=1e-6)
    assert found[EXPERT].moved == (noise != 0).mean()
    assert found["lm_head.weight"].snr_db == math.inf
    assert found["lm_head.weight"].moved == 0


def test_other_formats_have_no_moved_codes(make_checkpoint: Any) -> None:
    found = values(make_checkpoint("bf16"), make_checkpoint("nvfp4"))
    assert 15 < found[EXPERT].snr_db < 25
    assert found[EXPERT].moved is None


def test_what_was_not_compared_has_no_value(make_checkpoint: Any, copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    del content["backbone.norm_f.weight"]
    content["lm_head.weight"] = content["lm_head.weight"][:7].clone()
    save(directory, content)
    found = values(make_checkpoint("bf16"), directory)
    assert "backbone.norm_f.weight" not in found
    assert "lm_head.weight" not in found
    assert len(found) == len(content) - 1

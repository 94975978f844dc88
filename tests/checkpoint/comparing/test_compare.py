"""Two checkpoints, number by number: beside torch's own arithmetic, and ModelOpt's own decoding."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import oracle
from tests.support.checkpoints.damage import load, save
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing import compare as module
from trtnemo.checkpoint.comparing.compare import compare_checkpoints
from trtnemo.errors import CheckpointError

EXPERT = "backbone.layers.1.mixer.experts.3.up_proj"


def compared(first: Any, second: Any) -> Any:
    return compare_checkpoints(Checkpoint.open(first), Checkpoint.open(second))


def change(directory: Path, tensor: str, value: Any) -> Any:
    content = load(directory)
    before = content[tensor].clone()
    content[tensor] = value(content[tensor].clone())
    save(directory, content)
    return before, content[tensor]


def test_a_checkpoint_is_the_same_as_itself(make_checkpoint: Any) -> None:
    for precision in ("bf16", "nvfp4", "mixed"):
        found = compared(make_checkpoint(precision), make_checkpoint(precision))
        assert found.same
        assert found.compared > 100


@pytest.mark.parametrize("part", [4 << 20, 300])
def test_signal_and_noise_are_torchs(copy_checkpoint: Any, make_checkpoint: Any, monkeypatch: Any, part: int) -> None:
    monkeypatch.setattr(module, "PART", part)
    directory = copy_checkpoint("bf16")
    draw = torch.Generator().manual_seed(3)
    name = f"{EXPERT}.weight"
    before, after = change(directory, name, lambda x: x + (torch.randn(x.shape, generator=draw) * 0.01).bfloat16())
    (found,) = compared(make_checkpoint("bf16"), directory).differing
    difference = before.double() - after.double()
    assert found.name == name
    assert found.noise == pytest.approx(float((difference**2).sum()))
    assert found.signal == pytest.approx(float((before.double() ** 2).sum()))
    assert found.largest == float(difference.abs().max())
    assert found.codes_moved == int((before.view(torch.int16) != after.view(torch.int16)).sum())
    ratio = (before.double() ** 2).mean() / (difference**2).mean()
    assert found.snr_db == pytest.approx(10 * math.log10(float(ratio)))


def test_bf16_beside_nvfp4_is_what_modelopt_decodes(make_checkpoint: Any, made_by_modelopt: Path) -> None:
    plain, coded = Checkpoint.open(make_checkpoint("bf16")), Checkpoint.open(made_by_modelopt / "quantized")
    found = compare_checkpoints(plain, coded)
    one = next(one for one in found.differing if one.name == f"{EXPERT}.weight")
    assert one.formats == ("BF16", "nvfp4")
    assert one.codes_moved is None
    packed, scales, scale = (
        torch.from_numpy(np.array(coded.read(f"{EXPERT}.{part}").data))
        for part in ("weight", "weight_scale", "weight_scale_2")
    )
    decoded = oracle.decode_with_modelopt(packed, scales.view(torch.float8_e4m3fn), scale)
    original = load(plain.directory)[f"{EXPERT}.weight"]
    assert one.noise == pytest.approx(float(((original.double() - decoded.double()) ** 2).sum()), rel=1e-6)
    assert one.snr_db == pytest.approx(20.5, abs=0.5)  # of normal numbers in NVFP4
    assert {name for name in found.only_second if not name.endswith(("input_scale", "k_scale", "v_scale"))} == set()


def test_codes_that_moved_are_counted_one_by_one(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")

    def flip(codes: Any) -> Any:
        codes[0, 0] ^= 0x11  # both codes of a byte
        codes[5, 2] ^= 0x40  # the odd one
        return codes

    change(directory, f"{EXPERT}.weight", flip)
    (found,) = compared(make_checkpoint("nvfp4"), directory).differing
    assert found.codes_moved == 3


def test_a_code_of_minus_zero_is_another_code_and_no_other_number(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    place: list[int] = []

    def turn(codes: Any) -> Any:
        place.append(int((codes & 7 == 0).flatten().nonzero()[0]))
        codes.flatten()[place[0]] ^= 8
        return codes

    change(directory, f"{EXPERT}.weight", turn)
    (found,) = compared(make_checkpoint("nvfp4"), directory).differing
    assert (found.codes_moved, found.noise, found.snr_db) == (1, 0, math.inf)


def test_the_same_numbers_in_another_type_are_compared_as_numbers(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    """Which config does not promise: it is compared as it is stored, and not left out."""
    directory = copy_checkpoint("bf16")
    change(directory, f"{EXPERT}.weight", lambda x: x.float())
    assert compared(make_checkpoint("bf16"), directory).same
    change(directory, f"{EXPERT}.weight", lambda x: x * -3)
    (found,) = compared(make_checkpoint("bf16"), directory).differing
    assert (found.formats, found.codes_moved) == (("BF16", "F32"), None)


def test_a_tensor_that_the_config_does_not_know_is_not_passed_over(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    save(directory, {**content, "extra": torch.ones(3)})
    assert compared(make_checkpoint("bf16"), directory).only_second == ("extra",)
    save(directory, {**content, "extra": torch.ones(3, dtype=torch.int64)})
    found = compared(make_checkpoint("bf16"), directory)
    assert (found.unread, found.same) == (("extra",), False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_in_both_is_the_same(copy_checkpoint: Any, value: float) -> None:
    directory = copy_checkpoint("bf16")

    def spoil(x: Any) -> Any:
        x[3, 3] = value
        return x

    change(directory, f"{EXPERT}.weight", spoil)
    assert compared(directory, directory).same


def test_another_second_scale_changes_numbers_and_no_code(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    change(directory, f"{EXPERT}.weight_scale_2", lambda x: x * 2)
    (found,) = compared(make_checkpoint("nvfp4"), directory).differing
    assert found.codes_moved == 0
    assert found.snr_db == pytest.approx(0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_comes_first(copy_checkpoint: Any, make_checkpoint: Any, value: float) -> None:
    directory = copy_checkpoint("bf16")

    def spoil(x: Any) -> Any:
        x[3, 3] = value
        return x

    change(directory, f"{EXPERT}.weight", spoil)
    change(directory, "lm_head.weight", lambda x: x * 2)
    found = compared(make_checkpoint("bf16"), directory)
    assert [one.name for one in found.differing] == [f"{EXPERT}.weight", "lm_head.weight"]
    assert found.differing[0].snr_db is None


def test_other_networks_are_told_apart_by_name_and_shape(make_checkpoint: Any) -> None:
    found = compared("tiny", make_checkpoint("bf16"))
    assert "backbone.embeddings.weight" in found.other_shapes
    assert found.only_first
    assert not found.same


def test_a_checkpoint_that_changes_meanwhile_is_refused(copy_checkpoint: Any, make_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    first, second = Checkpoint.open(make_checkpoint("bf16")), Checkpoint.open(directory)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        compare_checkpoints(first, second, lambda *told: (directory / "model.safetensors").touch())

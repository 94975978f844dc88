"""What a picture of a scan shows, beside numpy on the tensors themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.checkpoints.damage import load, save
from tests.support.checkpoints.spoiled_values import KINDS
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.auditing.deep.scan import scan
from trtnemo.checkpoint.charting.scan_values import scan_values

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
EXPERT, IN_PROJ = "backbone.layers.1.mixer.experts.3.up_proj", "backbone.layers.0.mixer.in_proj"


def values(directory: Any) -> Any:
    return scan_values(scan(Checkpoint.open(directory)))


def rms(numbers: Any) -> float:
    return float(np.sqrt(np.mean(np.square(numbers))))


def decoded(content: Any, module: str) -> tuple[Any, Any]:
    """Return (codes as numbers, block scales)."""
    packed = content[f"{module}.weight"].numpy()
    codes = np.stack([packed & 15, packed >> 4], -1).reshape(packed.shape[0], -1)
    return E2M1[codes], content[f"{module}.weight_scale"].float().numpy().astype(np.float64)


def test_plain_tensors_are_as_numpy_has_them(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    content[f"{EXPERT}.weight"][3:9] = 0
    save(directory, content)
    found = values(directory)
    assert found.keys() == content.keys()
    for name in (f"{EXPERT}.weight", "backbone.layers.0.mixer.A_log", "lm_head.weight", "backbone.norm_f.weight"):
        numbers = content[name].double().numpy()
        assert found[name].rms == pytest.approx(rms(numbers), rel=1e-4), name
        assert found[name].zeros == pytest.approx((numbers == 0).mean()), name
        assert (found[name].spread, found[name].saturated) == (None, None)


def test_nvfp4_is_what_its_codes_and_scales_stand_for(make_checkpoint: Any) -> None:
    directory = make_checkpoint("nvfp4")
    content, found = load(directory), values(directory)
    for module in (EXPERT, IN_PROJ):
        codes, blocks = decoded(content, module)
        numbers = codes.reshape(*blocks.shape, 16) * blocks[..., None] * float(content[f"{module}.weight_scale_2"])
        one = found[f"{module}.weight"]
        assert one.rms == pytest.approx(rms(numbers), rel=0.05)
        assert one.zeros == pytest.approx((codes == 0).mean())
        assert one.spread == pytest.approx(blocks.max() / np.quantile(blocks, 0.5, method="inverted_cdf"))
        assert one.saturated == pytest.approx((blocks == 448).mean())
        assert f"{module}.weight_scale" not in found


def test_fp8_has_its_scale_and_no_blocks(make_checkpoint: Any) -> None:
    directory = make_checkpoint("mixed")
    content, found = load(directory), values(directory)
    name = next(name for name, tensor in content.items() if tensor.dtype == torch.float8_e4m3fn and tensor.dim() > 1
                and name.endswith(".weight"))  # fmt: skip
    numbers = content[name].float().numpy() * float(content[f"{name}_scale"])
    assert found[name].rms == pytest.approx(rms(numbers), rel=1e-4)
    assert (found[name].spread, found[name].saturated) == (None, None)


def test_scales_that_are_cut_off_show(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    content = load(directory)
    KINDS["block_scales_cut_off"][3](content)
    save(directory, content)
    found = values(directory)[f"{IN_PROJ}.weight"]
    assert (found.spread, found.saturated) == (1.0, pytest.approx(1.0, abs=0.05))


def test_what_has_another_shape_than_promised_has_no_value(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    content["lm_head.weight"] = content["lm_head.weight"][:7].clone()
    save(directory, content)
    assert "lm_head.weight" not in values(directory)

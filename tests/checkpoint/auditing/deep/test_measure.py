"""What is counted of a tensor, beside numpy, by every form of the native code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from trtnemo.checkpoint.auditing.deep import measure as module
from trtnemo.checkpoint.auditing.deep.measure import measure
from trtnemo.checkpoint.format.header import read_header
from trtnemo.checkpoint.reading.buffers import Buffers
from trtnemo.checkpoint.reading.sources import Sources
from trtnemo.native import FORCED, require_native


@pytest.fixture(params=require_native().kernel_names(), autouse=True)
def kernels(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FORCED, request.param)


def measured(directory: Path, tensor: Any) -> Any:
    path = directory / "model.safetensors"
    save_file({"weight": tensor}, path)
    with Sources([str(path)]) as sources:
        return measure(read_header(path)["weight"], sources, Buffers())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(5,), (1, 16), (7, 33), (40, 4100), (12, 1, 4), (3, 0)])
@pytest.mark.parametrize("part", [16 << 20, 64])
def test_numbers_are_counted_as_numpy_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, shape: Any, part: int
) -> None:
    monkeypatch.setattr(module, "PART", part)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    if len(shape) > 1 and shape[0] > 6:
        tensor[2] = 0
        tensor[5] = -0.0
        tensor[6].flatten()[0] = float("nan")
        tensor[3].flatten()[1] = float("-inf")
    found = measured(tmp_path, tensor)
    values = tensor.double().numpy().reshape(shape[0] if len(shape) > 1 else 1, -1)
    finite = np.isfinite(values)
    kept = np.where(finite, np.abs(values), 0)
    assert (found.nans, found.infinities) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert found.zeros == (values == 0).sum()
    assert found.largest == kept.max(initial=0)
    assert found.squares + found.row_squares == pytest.approx((kept**2).sum(), rel=1e-5)
    if values.size:
        assert found.row_squares == pytest.approx((kept[kept.max(1).argmax()] ** 2).sum(), rel=1e-5)
        zero_rows = np.flatnonzero((values == 0).all(1))
        bad_rows = np.flatnonzero(~finite.all(1))
        assert found.zero_rows == len(zero_rows)
        assert found.first_zero_row == (zero_rows[0] if len(zero_rows) else None)
        assert found.first_not_finite == (bad_rows[0] if len(bad_rows) else None)
        assert found.largest_row == kept.max(1).argmax()


@pytest.mark.parametrize("shape", [(3, 8), (2000, 24), (5, 7)])
@pytest.mark.parametrize("part", [16 << 20, 100])
def test_codes_are_counted_as_numpy_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, part: int
) -> None:
    monkeypatch.setattr(module, "PART", part)
    codes = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    codes[1] = 0x80
    found = measured(tmp_path, codes)
    nibbles = np.stack([codes.numpy() & 15, codes.numpy() >> 4])
    assert found.codes.tolist() == np.bincount(nibbles.reshape(-1), minlength=16).tolist()
    assert found.bytes.tolist() == np.bincount(codes.numpy().reshape(-1), minlength=256).tolist()
    assert (found.zero_rows, found.first_zero_row) == (1, 1)
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6] * 2)[nibbles]
    assert found.squares == pytest.approx((values**2).sum())
    assert found.elements == 2 * codes.numel()


def test_fp8_codes_stand_for_what_torch_says(tmp_path: Path) -> None:
    codes = torch.arange(256, dtype=torch.uint8).reshape(8, 32)
    found = measured(tmp_path, codes.view(torch.float8_e4m3fn))
    values = codes.view(torch.float8_e4m3fn).double()
    kept = values[~values.isnan()]
    assert (found.nans, found.zeros, found.largest) == (2, 2, 448)
    assert found.squares == pytest.approx(float((kept**2).sum()))


def test_a_byte_that_changes_or_moves_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 4096)
    tensor = torch.randn(100, 64, generator=torch.Generator().manual_seed(1))
    digests = {measured(tmp_path, tensor).digest}
    for row in (0, 1, 50, 99):
        changed = tensor.clone()
        changed[row, 3] += 1e-6 * changed[row, 3].abs() + 1e-6
        digests.add(measured(tmp_path, changed).digest)
        digests.add(measured(tmp_path, tensor.roll(row + 1, 0)).digest)
    assert len(digests) == 8  # rolled by 100 it is the same

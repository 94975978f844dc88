"""What is written has ModelOpt's bits for every tensor, whatever its size, its shape and its range."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.odd import make_odd
from tests.support.paths import CHECKPOINTS
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.rewrite.maps.patterns import FormatMap, map_of_patterns
from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
from trtnemo.checkpoint.rewrite.quantizing.scalars import Scalars, wanted_scalars

FORMATS: FormatMap = {
    "*.mixer.experts": "nvfp4", "*.mixer.in_proj": "fp8", "*.mixer.out_proj": "nvfp4", "*.mixer.q_proj": "nvfp4",
    "*.mixer.k_proj": "nvfp4", "*.mixer.v_proj": "nvfp4", "*.mixer.o_proj": "fp8", "*.mixer.shared_experts": "fp8",
    "*.mixer.fc1_latent_proj": "nvfp4", "*.mixer.fc2_latent_proj": "fp8",
}  # fmt: skip


def differing(source: Path, output: Path) -> dict[str, Any]:
    checkpoint = Checkpoint.open(source)
    target = map_of_patterns(checkpoint.config, FORMATS, every=True)
    values = {item.name: 0.01 for item in wanted_scalars(checkpoint.config, target)}
    quantize_stream(checkpoint, output, target, scalars=Scalars(values, "here"))
    command = [sys.executable, str(CHECKPOINTS / "modelopt_bits.py"), str(source), str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_odd_shapes_and_ranges(tmp_path: Path) -> None:
    make_odd(tmp_path / "odd")
    found = differing(tmp_path / "odd", tmp_path / "new")
    assert (found["differing"], found["counts"]["torch.uint8"]) == ([], 16)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "nvfp4"), [("small", 330), ("mid", 2580)])
def test_every_tensor_of_larger_networks(make_checkpoint: Any, tmp_path: Path, size: str, nvfp4: int) -> None:
    found = differing(make_checkpoint("bf16", size), tmp_path / "new")
    assert found["differing"] == []
    assert found["counts"]["torch.uint8"] >= nvfp4

"""ModelOpt's export, repaired: formats per layer, names clean, MTP and tokenizer carried over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import oracle
from trtnemo.checkpoint import Checkpoint, WeightFormat, audit
from trtnemo.checkpoint.format.codecs import decode_nvfp4, decode_plain
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS
from trtnemo.checkpoint.rewrite.quantize import quantize_checkpoint
from trtnemo.errors import CheckpointError, UsageError

CALIBRATION = [list(range(100, 164)), list(range(500, 540))]


@pytest.fixture
def quantized(made_by_modelopt: Any) -> Any:
    """Return a BF16 checkpoint quantized with formats by layer (tests/support/checkpoints/formats.py)."""
    return made_by_modelopt / "quantized"


def test_the_quantized_checkpoint_passes_the_audit(quantized: Any) -> None:
    assert audit(Checkpoint.open(quantized)).findings == []


def test_formats_are_those_asked_for(quantized: Any) -> None:
    checkpoint = Checkpoint.open(quantized)
    formats = {
        "backbone.layers.0.mixer.in_proj": WeightFormat.FP8,
        "backbone.layers.0.mixer.out_proj": WeightFormat.PLAIN,
        "backbone.layers.1.mixer.experts.7.up_proj": WeightFormat.NVFP4,
        "backbone.layers.1.mixer.shared_experts.down_proj": WeightFormat.NVFP4,
        "backbone.layers.1.mixer.shared_experts.up_proj": WeightFormat.PLAIN,
        "backbone.layers.4.mixer.experts.0.down_proj": WeightFormat.PLAIN,
        "backbone.layers.6.mixer.experts.0.down_proj": WeightFormat.NVFP4,
    }
    assert {name: checkpoint.quantization.format_of(name) for name in formats} == formats


def test_the_mtp_head_is_carried_over_bit_for_bit(quantized: Any, make_checkpoint: Any) -> None:
    source, result = Checkpoint.open(make_checkpoint("bf16")), Checkpoint.open(quantized)
    names = [name for name in source.tensors if name.startswith("mtp.")]
    assert names
    for name in names:
        assert np.array_equal(source.read(name).data, result.read(name).data)


def test_names_are_clean_and_the_tokenizer_is_there(quantized: Any) -> None:
    for name in ("hf_quant_config.json", "config.json"):
        assert "sentinel" not in (quantized / name).read_text()
    assert (quantized / "tokenizer.json").is_file()
    assert json.loads((quantized / "config.json").read_text())["hybrid_override_pattern"] == "MEM*EME"
    assert Checkpoint.open(quantized).quantization.fp8_kv_cache


def test_weights_decode_close_to_the_source_and_as_modelopt_decodes_them(quantized: Any, make_checkpoint: Any) -> None:
    source, result = Checkpoint.open(make_checkpoint("bf16")), Checkpoint.open(quantized)
    module = "backbone.layers.1.mixer.experts.2.up_proj"
    scale_2 = decode_plain(result.read(f"{module}.weight_scale_2"))
    packed: Any = result.read(f"{module}.weight").data
    scales: Any = result.read(f"{module}.weight_scale").data
    found = decode_nvfp4(packed, scales, scale_2)
    assert np.array_equal(found, oracle.decoded_tensors(quantized)[f"{module}.weight"].numpy())
    original = decode_plain(source.read(f"{module}.weight"))
    assert 0.02 < np.abs(found - original).mean() / np.abs(original).mean() < 0.15


def test_what_cannot_be_quantized_is_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    bf16, output = make_checkpoint("bf16"), tmp_path / "out"
    unknown: Any = {"*": "int3"}
    with pytest.raises(CheckpointError, match="quantized already"):
        quantize_checkpoint(make_checkpoint("nvfp4"), output, PRESETS["nvfp4"], CALIBRATION)
    with pytest.raises(UsageError, match="'int3' is not a known format"):
        quantize_checkpoint(bf16, output, unknown, CALIBRATION)
    with pytest.raises(UsageError, match="at least one text"):
        quantize_checkpoint(bf16, output, PRESETS["super"], [])
    with pytest.raises(UsageError, match="outside the vocabulary"):
        quantize_checkpoint(bf16, output, PRESETS["super"], [[5000]])
    output.mkdir()
    (output / "precious").write_text("x")
    with pytest.raises(CheckpointError, match="already exists"):
        quantize_checkpoint(bf16, output, PRESETS["fp8"], CALIBRATION)
    with pytest.raises(CheckpointError, match="--force does not replace"):
        quantize_checkpoint(bf16, output, PRESETS["fp8"], CALIBRATION, force=True)

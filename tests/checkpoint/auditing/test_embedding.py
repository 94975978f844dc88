"""ModelOpt's recipe for Nemotron-3-Nano-4B (pull request 1327): embedding in NVFP4, head in FP8, weights alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.checkpoints.make_checkpoint import fp8, nvfp4
from tests.support.checkpoints.spoil import edit_tensors
from tests.support.plan.deploy import by_kind, deployment
from tests.support.plan.slicing import read_tensors
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.errors import CheckpointError
from trtnemo.network import NemotronH
from trtnemo.plan.network import find_network

TABLE, HEAD = "backbone.embeddings", "lm_head"
FORMATS = {TABLE: {"quant_algo": "W4A16_NVFP4", "group_size": 16}, HEAD: {"quant_algo": "FP8"}}


@pytest.fixture
def quantized_ends(copy_checkpoint: Any) -> Path:
    directory: Path = copy_checkpoint("mixed")

    def quantize(tensors: dict[str, torch.Tensor]) -> None:
        for module, suffixes, encode in (
            (TABLE, ("weight", "weight_scale", "weight_scale_2"), nvfp4),
            (HEAD, ("weight", "weight_scale"), fp8),
        ):
            parts = encode(tensors.pop(f"{module}.weight"))
            tensors |= {f"{module}.{suffix}": part for suffix, part in zip(suffixes, parts, strict=True)}

    edit_tensors(directory, quantize)
    for file, block in (("config.json", "quantization_config"), ("hf_quant_config.json", "quantization")):
        content = json.loads((directory / file).read_text())
        content[block]["quantized_layers"] |= FORMATS
        (directory / file).write_text(json.dumps(content))
    return directory


def test_they_are_a_warning_at_most(quantized_ends: Path) -> None:
    report = audit(Checkpoint.survey(quantized_ends))
    assert [(item.severity, item.rule) for item in report.findings] == [("warning", "embedding-quantized")]


def test_the_plan_counts_their_bytes_as_stored(quantized_ends: Path) -> None:
    """Against the file, but for the scale of inputs, which such a checkpoint may have."""
    found = by_kind(find_network(str(quantized_ends)), deployment(server="vllm"))
    _, tensors = read_tensors(quantized_ends)
    for kind, module in (("embedding", TABLE), ("lm head", HEAD)):
        stored = sum(math.prod(shape) * size for name, (shape, size) in tensors.items() if name.startswith(module))
        assert stored <= found[kind] <= stored + 4
        assert stored < 4096 * 128 * 2 * 0.6


def test_our_own_runtimes_refuse_the_embedding(quantized_ends: Path) -> None:
    with pytest.raises(CheckpointError, match="its token embedding is quantized"):
        NemotronH.from_checkpoint(Checkpoint.open(quantized_ends))


def test_an_embedding_that_the_map_does_not_name_is_none_of_that(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("nvfp4")
    edit_tensors(directory, lambda t: t.update({f"{TABLE}.weight": nvfp4(t[f"{TABLE}.weight"])[0]}))
    found = [(item.severity, item.rule) for item in audit(Checkpoint.survey(directory)).findings]
    assert found == [("error", "tensor-dtype")]

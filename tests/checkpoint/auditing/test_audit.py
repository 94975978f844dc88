"""The audit finds what is wrong with a checkpoint, and nothing in a sound one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from tests.support.checkpoints.spoil import edit_config, edit_tensors
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.errors import CheckpointError

EXPERT = "backbone.layers.1.mixer.experts.3.up_proj"


def findings(directory: Any) -> Any:
    return {(item.severity, item.rule, item.subject) for item in audit(Checkpoint.open(directory)).findings}


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
def test_a_sound_checkpoint_passes(make_checkpoint: Any, precision: str) -> None:
    report = audit(Checkpoint.open(make_checkpoint(precision)))
    assert report.passed
    assert report.findings == []
    report.require()


def test_the_embedded_checkpoint_passes_in_three_formats() -> None:
    report = audit(Checkpoint.open("tiny"))
    assert report.findings == []
    assert set(report.formats) == {"plain", "fp8", "nvfp4"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop(f"{EXPERT}.weight_scale_2"), ("error", "tensor-missing", f"{EXPERT}.weight_scale_2")),
        (lambda t: t.pop("mtp.layers.0.eh_proj.weight"), ("error", "tensor-missing", "mtp.layers.0.eh_proj.weight")),
        (lambda t: t.update(stray=torch.zeros(3)), ("error", "tensor-unexpected", "stray")),
        (
            lambda t: t[f"{EXPERT}.weight_scale_2"].fill_(float("nan")),
            ("error", "scale-not-finite", f"{EXPERT}.weight_scale_2"),
        ),
        (
            lambda t: t[f"{EXPERT}.input_scale"].fill_(float("inf")),
            ("error", "scale-not-finite", f"{EXPERT}.input_scale"),
        ),
        (
            lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0x7F),
            ("error", "scale-not-finite", f"{EXPERT}.weight_scale"),
        ),
        (
            lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0),
            ("warning", "block-scale-zero", f"{EXPERT}.weight_scale"),
        ),
        (lambda t: t[f"{EXPERT}.weight_scale_2"].neg_(), ("error", "scale-not-positive", f"{EXPERT}.weight_scale_2")),
        (
            lambda t: t.update({"lm_head.weight": t["lm_head.weight"].float()}),
            ("error", "tensor-dtype", "lm_head.weight"),
        ),
        (
            lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:, :64]}),
            ("error", "tensor-shape", "lm_head.weight"),
        ),
        (
            lambda t: t.update({f"{EXPERT}.input_scale": torch.ones(1)}),
            ("error", "tensor-shape", f"{EXPERT}.input_scale"),
        ),
    ],
)
def test_a_spoiled_tensor_is_found(copy_checkpoint: Any, change: Any, expected: Any) -> None:
    directory = copy_checkpoint()
    edit_tensors(directory, change)
    assert findings(directory) == {expected}


def test_vocabulary_and_embedding_disagreeing_is_found(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    edit_config(directory, vocab_size=2048)
    found = findings(directory)
    assert ("error", "tensor-shape", "backbone.embeddings.weight") in found
    assert ("error", "tokenizer-vocabulary", "tokenizer.json") in found


def test_a_mixed_map_read_as_plain_nvfp4_is_found(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("mixed")
    quantization = {"quant_algo": "NVFP4", "exclude_modules": []}
    (directory / "hf_quant_config.json").write_text(json.dumps({"quantization": quantization}))
    assert not audit(Checkpoint.open(directory)).passed


def test_a_gate_in_float32_is_as_good_as_in_bfloat16(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    gate = "backbone.layers.1.mixer.gate.weight"
    edit_tensors(directory, lambda t: t.update({gate: t[gate].float()}))
    assert findings(directory) == set()


def test_a_missing_tokenizer_is_a_warning(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    (directory / "tokenizer.json").unlink()
    assert findings(directory) == {("warning", "tokenizer-missing", "tokenizer.json")}


def test_require_names_the_first_error_and_counts_the_rest(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    edit_tensors(directory, lambda t: [t.pop(f"{EXPERT}.weight"), t.pop(f"{EXPERT}.weight_scale")])
    with pytest.raises(CheckpointError, match=rf"{EXPERT}.weight: is missing \(and 1 more\)"):
        audit(Checkpoint.open(directory)).require()


def test_code_that_the_config_names_is_reported_and_never_imported(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    (directory / "evil.py").write_text("raise SystemExit('imported')")
    edit_config(directory, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    report = audit(Checkpoint.open(directory))
    assert (report.remote_code, report.findings) == (("evil.Config", "evil.Model"), [])

"""Merged weights are PEFT's, and an adapter that does not belong to a base is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.checkpoints.adapters import (
    FORMS,
    LAYERS,
    edit_adapter,
    make_adapter,
    merged,
)
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.rewrite.merging.adapter import open_adapter
from trtnemo.checkpoint.rewrite.merging.merge import merge_stream
from trtnemo.errors import CheckpointError


@pytest.fixture
def base(make_checkpoint: Any) -> Path:
    place: Path = make_checkpoint("bf16")
    return place


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    make_adapter(base, tmp_path / "adapter", **LAYERS)
    return tmp_path / "adapter"


def as_transformers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the target network's weights under transformers' names, experts fused."""
    fused: dict[str, list[torch.Tensor]] = {}
    found = {}
    for name, value in sorted(tensors.items(), key=lambda pair: [part.zfill(9) for part in pair[0].split(".")]):
        if name.startswith("mtp."):
            continue
        head, _, tail = name.replace("backbone.", "model.").partition(".experts.")
        if tail and "shared" not in head:
            projection = tail.split(".")[1]
            fused.setdefault(f"{head}.experts.{projection}", []).append(value)
        else:
            found[name.replace("backbone.", "model.")] = value
    return found | {name: torch.stack(ones) for name, ones in fused.items()}


@pytest.mark.parametrize("form", FORMS)
def test_merged_weights_are_those_of_peft_in_float32_rounded_once(base: Path, tmp_path: Path, form: str) -> None:
    expected = make_adapter(base, tmp_path / "adapter", torch.float32, **FORMS[form])
    ours, done = merged(base, tmp_path / "new", tmp_path / "adapter")
    found = as_transformers(ours)
    assert found.keys() == expected.keys()
    assert done.merged + done.replaced >= 3
    assert done.unchanged == 0
    before = as_transformers(load_file(base / "model.safetensors"))
    changed = 0
    for name, value in expected.items():
        wanted = value.to(found[name].dtype)
        equal = (found[name] == wanted).float().mean().item()
        assert equal > 0.999, name  # of sums that are taken in another order, a few fall on the other side of a tie
        torch.testing.assert_close(found[name].float(), wanted.float(), rtol=2**-7, atol=1e-6)
        changed += not torch.equal(found[name], before[name])
    assert changed >= 3


def test_linear_layers_have_the_bits_that_peft_writes_into_bfloat16(base: Path, tmp_path: Path) -> None:
    expected = make_adapter(base, tmp_path / "adapter", **LAYERS)
    found = as_transformers(merged(base, tmp_path / "new", tmp_path / "adapter")[0])
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_two_adapters_add_up_whatever_their_order(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "one", torch.float32, **LAYERS)
    make_adapter(base, tmp_path / "two", torch.float32, **{**LAYERS, "r": 8})
    both = merged(base, tmp_path / "a", tmp_path / "one", tmp_path / "two")[0]
    turned = merged(base, tmp_path / "b", tmp_path / "two", tmp_path / "one")[0]
    name = "backbone.layers.3.mixer.q_proj.weight"
    single = [load_file(path)[name].float() for path in (base / "model.safetensors",)]
    parts = [merged(base, tmp_path / place, tmp_path / place_of)[0][name].float()
             for place, place_of in (("c", "one"), ("d", "two"))]  # fmt: skip
    torch.testing.assert_close(both[name].float(), parts[0] + parts[1] - single[0], rtol=0.02, atol=2e-3)
    torch.testing.assert_close(both[name].float(), turned[name].float(), rtol=2**-7, atol=1e-6)


def test_what_no_adapter_names_keeps_its_bits_and_the_head_is_carried_over(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    ours, done = merged(base, tmp_path / "new", adapter)
    before = load_file(base / "model.safetensors")
    assert ours.keys() == before.keys()
    same = {name for name in ours if torch.equal(ours[name], before[name])}
    assert {name for name in ours if name.startswith("mtp.")} <= same
    assert len(ours) - len(same) == done.merged
    assert done.audit.passed
    assert "`adapter`" in (tmp_path / "new" / "README.md").read_text()


def test_adapter_that_was_never_trained_is_told(base: Path, adapter: Path, tmp_path: Path) -> None:
    edit_adapter(adapter, lambda tensors: [value.zero_() for name, value in tensors.items() if "lora_B" in name])
    done = merged(base, tmp_path / "new", adapter)[1]
    assert done.unchanged == done.merged > 3


def _rename(old: str, new: str) -> Any:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        _rename("base_model.model.model.", "base_model.model.backbone."),  # the hub's own model code
        _rename("base_model.model.model.layers", "base_model.model.layers"),  # huggingface/peft #1579
        _rename(".weight", ".default.weight"),
        _rename("base_model.model.", ""),
    ],
)
def test_names_of_other_trainers_mean_the_same_weights(base: Path, adapter: Path, tmp_path: Path, edit: Any) -> None:
    expected = merged(base, tmp_path / "a", adapter)[0]
    edit_adapter(adapter, edit)
    found = merged(base, tmp_path / "b", adapter)[0]
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_empty_matrices_of_projections_that_the_family_has_not_are_passed_over(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    # thinking-machines-lab/tinker-cookbook #548: w3 of experts is there and holds nothing
    names = [f"base_model.model.model.layers.1.mixer.experts.w3.lora_{side}.weight" for side in "AB"]
    edit_adapter(adapter, lambda tensors: tensors.update(dict.fromkeys(names, torch.zeros(0))))
    assert merged(base, tmp_path / "new", adapter)[1].merged > 3


def _drop(ending: str) -> Any:
    return lambda tensors: tensors.pop(next(name for name in tensors if name.endswith(ending)))


def _add(name: str, *shape: int) -> Any:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for side, size in zip("AB", ((4, shape[1]), (shape[0], 4)), strict=True):
            tensors[f"base_model.model.model.layers.{name}.lora_{side}.weight"] = torch.ones(size)

    return edit


def _spoil(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values())).view(-1)[3] = float("nan")


@pytest.mark.parametrize(
    ("edit", "settings", "told"),
    [
        (None, {"r": 8}, "lm_head has rank 4, its settings 8"),
        (None, {"r": 2}, "has rank 4, its settings 2"),
        (None, {"peft_type": "IA3"}, "peft_type is 'IA3'"),
        (None, {"r": "four"}, "'r' must be a valid integer"),
        (None, {"init_lora_weights": "pissa_niter_16"}, "changed the base weights too"),
        (None, {"init_lora_weights": "lora_ga"}, "changed the base weights too"),
        (None, {"use_dora": True}, "use_dora is True"),
        (None, {"trainable_token_indices": [1, 2]}, "trainable_token_indices is set"),
        (None, {"layer_replication": [[0, 4], [2, 5]]}, "layer_replication is set"),
        (None, {"rank_pattern": {"(a+)+$": 4}}, "repeats too much"),
        (_drop("lora_B.weight"), {}, "has no lora_B"),
        (_add("0.mixer.gate_proj", 4, 4), {}, "which the base has not"),  # tinker's halves of in_proj
        (_add("99.mixer.in_proj", 4, 4), {}, "which the base has not"),
        (_add("2.mixer.out_proj", 64, 64), {}, "and the base has"),
        (_add("1.mixer.experts", 64, 64), {}, "fit no projection of all experts"),
        (_spoil, {}, "holds NaN or infinity"),
        (lambda tensors: tensors.update({"base_model.model.lm_head.weight": torch.ones(4096, 128)}), {},
         r"names lm_head\.weight twice"),
        (lambda tensors: tensors.update({"base_model.model.lm_head.base_layer.weight": torch.ones(4100, 128)}), {},
         r"as \[4100, 128\], and the base has \[4096, 128\]"),
        (lambda tensors: [tensors.pop(name) for name in list(tensors)], {}, "holds no tensors"),
        (lambda tensors: [tensors.update({name: value.double()}) for name, value in tensors.items()], {}, "is F64"),
    ],
)  # fmt: skip
def test_adapter_of_another_base_rank_or_form_is_refused_before_anything_is_written(
    base: Path, adapter: Path, tmp_path: Path, edit: Any, settings: dict[str, Any], told: str
) -> None:
    edit_adapter(adapter, edit, **settings)
    with pytest.raises(CheckpointError, match=told):
        merged(base, tmp_path / "new", adapter)
    assert not (tmp_path / "new").exists()


def test_adapter_beside_its_pickle_is_not_read_and_what_to_do_is_said(base: Path, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="safe_serialization=True"):
        open_adapter(adapter)
    with pytest.raises(CheckpointError, match=r"has no adapter_config\.json"):
        open_adapter(base)


def test_quantized_base_is_refused(adapter: Path, make_checkpoint: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is quantized already"):
        merged(make_checkpoint("nvfp4"), tmp_path / "new", adapter)


def test_adapter_that_makes_infinities_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    edit_adapter(adapter, lambda tensors: [value.fill_(1e19) for name, value in tensors.items() if "lora" in name])
    with pytest.raises(CheckpointError, match="its type cannot carry"):
        merged(base, tmp_path / "new", adapter)


def test_broken_off_merge_goes_on_behind_whole_files(base: Path, adapter: Path, tmp_path: Path) -> None:
    expected = merged(base, tmp_path / "whole", adapter)[0]

    def stop(what: str, done: int, total: int) -> None:
        if "00003" in what:
            raise KeyboardInterrupt

    opened = [open_adapter(adapter)]
    with pytest.raises(KeyboardInterrupt):
        merge_stream(Checkpoint.open(base), tmp_path / "new", opened, shard_bytes=900_000, report=stop)
    found, done = merged(base, tmp_path / "new", adapter)
    assert done.files_kept == 2
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        merge_stream(Checkpoint.open(base), tmp_path / "new", opened, shard_bytes=900_000, report=stop)
    edit_adapter(adapter, lora_alpha=16)
    assert merged(base, tmp_path / "new", adapter)[1].files_kept == 0

"""Adapters over all experts, several adapters, and what would merge wrongly in silence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.checkpoints.adapters import (
    DORA,
    EMBEDDING,
    EXPERTS,
    FUSED,
    LAYERS,
    ONLY_DOWN,
    edit_adapter,
    make_adapter,
    merged,
)
from tests.support.checkpoints.spoil import edit_config, edit_tensors
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.reading import buffers
from trtnemo.checkpoint.rewrite.merging.adapter import open_adapter
from trtnemo.checkpoint.rewrite.merging.merge import merge_stream
from trtnemo.checkpoint.rewrite.merging.settings import AdapterSettings
from trtnemo.errors import CheckpointError, UsageError


@pytest.fixture
def base(make_checkpoint: Any) -> Path:
    place: Path = make_checkpoint("bf16")
    return place


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    make_adapter(base, tmp_path / "adapter", **LAYERS)
    return tmp_path / "adapter"


def test_rows_of_a_weight_beyond_one_part_get_their_own_sums(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = merged(base, tmp_path / "whole", adapter)[0]
    monkeypatch.setattr(buffers, "PART", 4096)
    parts, done = merged(base, tmp_path / "parts", adapter)
    assert done.unchanged == 0
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_weight_that_changes_in_its_first_part_alone_counts_as_changed(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_row_alone(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "lora_B" in name]:
            tensors[name][1:] = 0

    edit_adapter(adapter, first_row_alone)
    monkeypatch.setattr(buffers, "PART", 4096)
    assert merged(base, tmp_path / "new", adapter)[1].unchanged == 0


def turn(tensors: dict[str, torch.Tensor]) -> None:
    """Lay matrices over all experts as peft did until 0.19.0: inputs and outputs the other way round."""
    for name in [name for name in tensors if ".experts." in name and "lora_A" in name]:
        other = name.replace("lora_A", "lora_B")
        a, b = tensors[name], tensors[other]
        a3, b3 = a.reshape(8, -1, a.shape[1]), b.reshape(b.shape[0], -1, 8)
        tensors[name] = b3.permute(2, 1, 0).reshape(-1, b.shape[0]).contiguous()
        tensors[other] = a3.permute(2, 1, 0).reshape(a.shape[1], -1).contiguous()


@pytest.fixture
def narrow(make_checkpoint: Any, tmp_path: Path) -> Path:
    """Return a base whose experts are not as high as wide."""
    copy = Path(shutil.copytree(make_checkpoint("bf16"), tmp_path / "narrow"))
    edit_tensors(copy, lambda tensors: [tensors.update({name: value[:48] if "up_proj" in name else value[:, :48]})
                                        for name, value in tensors.items() if ".mixer.experts." in name])  # fmt: skip
    edit_config(copy, moe_intermediate_size=48)
    return copy


@pytest.mark.parametrize("settings", [FUSED, ONLY_DOWN, {**FUSED, "target_parameters": EXPERTS[:1]}])
@pytest.mark.parametrize("square", [True, False])
def test_experts_of_older_peft_are_turned_and_not_taken_for_the_other_projection(
    base: Path, narrow: Path, tmp_path: Path, settings: dict[str, Any], square: bool
) -> None:
    source = base if square else narrow
    make_adapter(source, tmp_path / "adapter", torch.float32, **settings)
    new = merged(source, tmp_path / "new", tmp_path / "adapter")[0]
    edit_adapter(tmp_path / "adapter", turn, peft_version="0.18.1")
    old = merged(source, tmp_path / "old", tmp_path / "adapter")[0]
    assert all(torch.equal(old[name], new[name]) for name in new)


def test_two_fused_adapters_of_one_layer_keep_their_own_matrices(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "one", torch.float32, **FUSED)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    edit_adapter(tmp_path / "two", lambda tensors: [value.mul_(-1) for name, value in tensors.items() if "_A" in name])
    both, done = merged(base, tmp_path / "both", tmp_path / "one", tmp_path / "two")
    assert done.unchanged == done.merged  # what one adds the other takes away
    before = load_file(base / "model.safetensors")
    assert all(torch.equal(both[name], before[name]) for name in before)


def test_adapters_whose_order_would_decide_are_refused(base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_adapter(base, tmp_path / name, **EMBEDDING)
    with pytest.raises(CheckpointError, match="two adapters replace it"):
        merged(base, tmp_path / "new", tmp_path / "one", tmp_path / "two")
    make_adapter(base, tmp_path / "dora", **DORA)
    make_adapter(base, tmp_path / "plain", **LAYERS)
    with pytest.raises(CheckpointError, match="one of them by DoRA"):
        merged(base, tmp_path / "new", tmp_path / "dora", tmp_path / "plain")
    with pytest.raises(UsageError, match="given twice"):
        merged(base, tmp_path / "new", tmp_path / "one", tmp_path / "one")


def test_dora_with_lengths_of_another_layer_or_of_an_embedding_is_refused(base: Path, tmp_path: Path) -> None:
    make_adapter(base, tmp_path / "dora", **DORA)
    edit_adapter(tmp_path / "dora", lambda tensors: tensors.update(
        {name: value[:-1] for name, value in tensors.items() if "magnitude" in name}))  # fmt: skip
    with pytest.raises(CheckpointError, match="lengths for"):
        merged(base, tmp_path / "new", tmp_path / "dora")
    make_adapter(base, tmp_path / "table", **{**EMBEDDING, "use_dora": True, "modules_to_save": None})
    with pytest.raises(CheckpointError, match="an embedding trained by DoRA"):
        merged(base, tmp_path / "new", tmp_path / "table")


def test_adapter_that_was_trained_again_is_read_again_by_a_run_that_goes_on(base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_adapter(base, tmp_path / name, torch.float32, **LAYERS)

    def stop(what: str, done: int, total: int) -> None:
        if "00003" in what:
            raise KeyboardInterrupt

    opened = [open_adapter(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(KeyboardInterrupt):
        merge_stream(Checkpoint.open(base), tmp_path / "new", opened, shard_bytes=900_000, report=stop)
    edit_adapter(tmp_path / "one", lambda tensors: [value.mul_(2) for value in tensors.values()])
    assert merged(base, tmp_path / "new", tmp_path / "one", tmp_path / "two")[1].files_kept == 0


def test_output_in_the_place_of_an_adapter_is_refused_and_parts_are_told(base: Path, adapter: Path) -> None:
    (adapter / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is or holds what the copy is made of"):
        merge_stream(Checkpoint.open(base), adapter, [open_adapter(adapter)], force=True)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="It is in parts"):
        open_adapter(adapter)


def test_ranks_of_many_modules_are_looked_up_by_name_in_their_order() -> None:
    many = {f"layers.{layer}.mixer.in_proj": layer + 1 for layer in range(500)}
    settings = AdapterSettings(peft_type="LORA", r=3, lora_alpha=6, rank_pattern={**many, r"layers\.7\..*": 9})
    assert settings.rank("model.layers.7.mixer.in_proj") == 8
    assert settings.rank("model.layers.7.mixer.q_proj") == 9
    assert settings.rank("model.layers.17.mixer.q_proj") == 3
    assert settings.rank("model.xlayers.8.mixer.in_proj") == 3
    first = AdapterSettings(peft_type="LORA", r=3, lora_alpha=6, rank_pattern={"in_proj": 2, "mixer.in_proj": 4})
    assert first.rank("layers.0.mixer.in_proj") == 2
    assert first.scale("layers.0.mixer.in_proj") == 3

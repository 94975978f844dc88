"""Layouts that other programs write become the hub's, with the same numbers, and back."""

from __future__ import annotations

import functools
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.checkpoints.compressed import compress_fp8, compress_nvfp4
from tests.support.checkpoints.spoil import edit_config, edit_tensors
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.checkpoint.comparing.compare import compare_checkpoints
from trtnemo.checkpoint.rewrite.converting.convert import ConvertReport, convert_stream
from trtnemo.errors import CheckpointError, UsageError

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def bf16(make_checkpoint: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(make_checkpoint("bf16"), tmp_path / "bf16"))


def to_hub(source: Path, output: Path) -> ConvertReport:
    return convert_stream(Checkpoint.open(source), output, "hub", shard_bytes=700_000)


def same(one: Path, other: Path) -> bool:
    return compare_checkpoints(Checkpoint.open(one), Checkpoint.open(other)).same


def renamed(start: str, new: str) -> Any:
    def edit(tensors: Tensors) -> None:
        for name in [name for name in tensors if name.startswith(start)]:
            tensors[new + name[len(start) :]] = tensors.pop(name)

    return edit


def stacked(module: str, up: str, down: str, turned: bool = False) -> Any:
    """Stack the experts of every layer under other names, inputs before outputs where `turned` says so."""

    def edit(tensors: Tensors) -> None:
        heads = {name.partition(".experts.")[0] for name in tensors if ".mixer.experts." in name}
        for head in heads:
            for projection, new in (("up_proj", up), ("down_proj", down)):
                ones = [tensors.pop(f"{head}.experts.{expert}.{projection}.weight") for expert in range(8)]
                stack = torch.stack(ones)
                tensors[f"{head}.{module}.{new}"] = (stack.transpose(1, 2) if turned else stack).contiguous()

    return edit


def channels_last(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.endswith("conv1d.weight")]:
        tensors[name] = tensors[name].transpose(1, 2).contiguous()


@pytest.mark.parametrize(
    "edits",
    [
        [stacked("experts", "up_proj", "down_proj"), renamed("backbone.", "model.")],  # transformers 5
        [stacked("experts", "up_proj.weight", "down_proj.weight")],
        [stacked("switch_mlp", "fc1.weight", "fc2.weight"), channels_last],  # mlx-lm
        [renamed("backbone.embeddings", "backbone.embedding")],  # axolotl #3508
        [renamed("backbone.", "")],
    ],
)
def test_layouts_of_other_programs_become_the_hubs_with_the_same_bits(
    bf16: Path, make_checkpoint: Any, tmp_path: Path, edits: list[Any]
) -> None:
    for edit in edits:
        edit_tensors(bf16, edit)
    done = to_hub(bf16, tmp_path / "new")
    assert done.files > 3
    assert same(tmp_path / "new", make_checkpoint("bf16"))
    assert audit(Checkpoint.open(tmp_path / "new")).passed


def test_stacks_with_inputs_first_are_turned(bf16: Path, make_checkpoint: Any, tmp_path: Path) -> None:
    # experts of another width than height, which alone can be told apart
    edit_tensors(bf16, lambda tensors: [tensors.update({name: value[:48] if "up_proj" in name else value[:, :48]})
                                        for name, value in tensors.items() if ".mixer.experts." in name])  # fmt: skip
    edit_config(bf16, moe_intermediate_size=48)
    shutil.copytree(bf16, tmp_path / "before")
    edit_tensors(bf16, stacked("experts", "up_proj", "down_proj", turned=True))
    to_hub(bf16, tmp_path / "new")
    assert same(tmp_path / "new", tmp_path / "before")


def test_what_transformers_saves_fused_becomes_the_hubs(make_checkpoint: Any, tmp_path: Path) -> None:
    from transformers import NemotronHForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NemotronHForCausalLM.from_pretrained(make_checkpoint("bf16"), dtype=torch.bfloat16)
        model.save_pretrained(tmp_path / "fused", save_original_format=False)
    done = to_hub(tmp_path / "fused", tmp_path / "new")
    assert not done.has_head
    found = compare_checkpoints(Checkpoint.survey(tmp_path / "new"), Checkpoint.open(make_checkpoint("bf16")))
    assert (found.differing, found.only_first) == ((), ())
    assert {name.partition(".")[0] for name in found.only_second} == {"mtp"}


def test_transformers_loads_fused_experts_and_they_come_back_bit_for_bit(make_checkpoint: Any, tmp_path: Path) -> None:
    from transformers import NemotronHForCausalLM

    source = make_checkpoint("bf16")
    done = convert_stream(Checkpoint.open(source), tmp_path / "fused", "fused", shard_bytes=700_000)
    assert done.done["joined"] == 48
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (NemotronHForCausalLM.from_pretrained(place, dtype=torch.bfloat16).state_dict()
                        for place in (tmp_path / "fused", source))  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    to_hub(tmp_path / "fused", tmp_path / "back")
    assert same(tmp_path / "back", source)


def test_nvfp4_of_compressed_tensors_becomes_modelopts(make_checkpoint: Any, tmp_path: Path) -> None:
    source = Path(shutil.copytree(make_checkpoint("nvfp4"), tmp_path / "ct"))
    compress_nvfp4(source)
    done = to_hub(source, tmp_path / "new")
    assert done.audit is not None
    assert done.audit.passed
    before, after = load_all(make_checkpoint("nvfp4")), load_all(tmp_path / "new")
    assert before.keys() == after.keys()
    for name, value in before.items():
        if name.endswith(("weight_scale_2", "input_scale")):  # 1 / (1 / x): the last bit may go
            torch.testing.assert_close(after[name], value, rtol=2**-22, atol=0)
        else:
            assert torch.equal(after[name].view(torch.uint8), value.view(torch.uint8)), name


def load_all(directory: Path) -> Tensors:
    tensors: Tensors = {}
    for path in directory.glob("*.safetensors"):
        tensors |= load_file(path)
    return tensors


def test_fp8_of_compressed_tensors_becomes_modelopts(bf16: Path, tmp_path: Path) -> None:
    compress_fp8(bf16, "tensor")
    to_hub(bf16, tmp_path / "new")
    before, after = load_all(bf16), load_all(tmp_path / "new")
    name = "backbone.layers.0.mixer.in_proj"
    assert torch.equal(after[f"{name}.weight"].view(torch.uint8), before[f"{name}.weight"].view(torch.uint8))
    assert after[f"{name}.weight_scale"].shape == ()
    assert after[f"{name}.weight_scale"] == before[f"{name}.weight_scale"].float()
    assert audit(Checkpoint.open(tmp_path / "new")).formats["fp8"] > 8


@pytest.mark.parametrize("strategy", ["channel", "block"])
def test_fp8_that_modelopt_has_no_form_for_is_refused(bf16: Path, tmp_path: Path, strategy: str) -> None:
    compress_fp8(bf16, strategy)
    with pytest.raises(CheckpointError, match="which ModelOpt's layout has no form for"):
        to_hub(bf16, tmp_path / "new")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda t: t.update({"model.norm_f.weight": t["backbone.norm_f.weight"].clone()}), "two tensors become"),
        (lambda t: t.update({"backbone.layers.1.mixer.experts.up_proj": torch.zeros(8, 9, 64).bfloat16()}),
         r"asks for \[8, 64, 64\]"),
        (lambda t: t.update({"backbone.layers.1.mixer.experts.up_proj": torch.zeros(8, 64, 32).byte()}),
         "only plain ones are cut"),
        (stacked("experts", "w1", "w2"), "no whole checkpoint"),
        (lambda t: (renamed("backbone.", "model.")(t), t.pop("model.norm_f.weight")), "norm_f.weight: is missing"),
    ],
)  # fmt: skip
def test_what_is_no_whole_checkpoint_is_refused(bf16: Path, tmp_path: Path, edit: Any, told: str) -> None:
    edit_tensors(bf16, edit)
    if "no whole" in told:
        edit_tensors(bf16, renamed("backbone.emb", "model.emb"))
    with pytest.raises(CheckpointError, match=told):
        to_hub(bf16, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_checkpoint_that_is_so_already_and_a_quantized_one_are_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in the layout 'hub' already"):
        to_hub(make_checkpoint("nvfp4"), tmp_path / "new")
    with pytest.raises(CheckpointError, match="is quantized already"):
        convert_stream(Checkpoint.open(make_checkpoint("nvfp4")), tmp_path / "new", "fused")


def test_scale_that_is_no_number_is_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    source = Path(shutil.copytree(make_checkpoint("nvfp4"), tmp_path / "ct"))
    compress_nvfp4(source)
    edit_tensors(source, lambda tensors: next(
        value for name, value in tensors.items() if "global_scale" in name).fill_(float("inf")))  # fmt: skip
    with pytest.raises(CheckpointError, match="is no positive number"):
        to_hub(source, tmp_path / "new")


def test_router_bias_in_bfloat16_is_widened_exactly(bf16: Path, tmp_path: Path) -> None:
    name = "backbone.layers.1.mixer.gate.e_score_correction_bias"
    edit_tensors(bf16, lambda tensors: tensors.update({name: tensors[name].bfloat16()}))
    before = load_all(bf16)[name]
    to_hub(bf16, tmp_path / "new")
    after = load_all(tmp_path / "new")[name]
    assert (after.dtype, torch.equal(after, before.float())) == (torch.float32, True)


def test_scales_of_keys_and_values_go_below_their_projections(make_checkpoint: Any, tmp_path: Path) -> None:
    source = Path(shutil.copytree(make_checkpoint("nvfp4"), tmp_path / "ct"))
    compress_nvfp4(source)
    layer = "backbone.layers.3.mixer"

    def below_the_layer(tensors: Tensors) -> None:
        for letter, value in (("k", 0.25), ("v", 0.5)):
            tensors.pop(f"{layer}.{letter}_proj.{letter}_scale", None)
            tensors[f"{layer}.{letter}_scale"] = torch.tensor([value], dtype=torch.bfloat16)

    edit_tensors(source, below_the_layer)
    config = json.loads((source / "config.json").read_text())
    scheme = {"num_bits": 8, "type": "float", "dynamic": False}
    edit_config(source, quantization_config={**config["quantization_config"], "kv_cache_scheme": scheme})
    to_hub(source, tmp_path / "new")
    after = load_all(tmp_path / "new")
    assert (after[f"{layer}.k_proj.k_scale"].item(), after[f"{layer}.v_proj.v_scale"].item()) == (0.25, 0.5)
    written = json.loads((tmp_path / "new" / "config.json").read_text())["quantization_config"]
    assert (written["quant_method"], written["kv_cache_scheme"]["num_bits"]) == ("modelopt", 8)
    assert "config_groups" not in written


def test_router_bias_in_float16_is_widened_too(bf16: Path, tmp_path: Path) -> None:
    name = "backbone.layers.1.mixer.gate.e_score_correction_bias"
    edit_tensors(bf16, lambda tensors: tensors.update({name: tensors[name].half()}))
    before = load_all(bf16)[name]
    to_hub(bf16, tmp_path / "new")
    assert torch.equal(load_all(tmp_path / "new")[name], before.float())


def _fill(name: str, value: float, tensors: Tensors) -> None:
    tensors[name].fill_(value)


def test_negative_and_subnormal_scales_are_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    for number, (value, told) in enumerate(((-1.0, "is no positive number"), (1e-45, "has no reciprocal"))):
        source = Path(shutil.copytree(make_checkpoint("nvfp4"), tmp_path / f"ct{number}"))
        compress_nvfp4(source)
        names = [name for name in load_all(source) if "global_scale" in name]
        edit_tensors(source, functools.partial(_fill, names[0], value))
        with pytest.raises(CheckpointError, match=told):
            to_hub(source, tmp_path / "new")


def test_config_has_the_hubs_spelling(bf16: Path, tmp_path: Path) -> None:
    words = {"M": "linear_attention", "E": "moe", "*": "full_attention"}  # as transformers 5 writes them
    config = json.loads((bf16 / "config.json").read_text())
    for key in ("hybrid_override_pattern", "num_hidden_layers"):
        config.pop(key, None)
    config["layers_block_type"] = [words[letter] for letter in "MEM*EME"]
    config["time_step_limit"] = [0.0, {"__float__": "Infinity"}]
    (bf16 / "config.json").write_text(json.dumps(config))
    edit_tensors(bf16, renamed("backbone.", "model."))
    to_hub(bf16, tmp_path / "new")
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["hybrid_override_pattern"], config["num_hidden_layers"]) == ("MEM*EME", 7)
    assert config["time_step_limit"] == [0.0, float("inf")]
    assert audit(Checkpoint.open(tmp_path / "new")).findings == []

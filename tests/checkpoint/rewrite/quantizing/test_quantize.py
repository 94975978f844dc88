"""A streamed copy has the bits of ModelOpt's, and what cannot be written is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.checkpoints.formats import EVERY_KIND, QUANTIZED
from trtnemo.checkpoint import Checkpoint, WeightFormat, audit
from trtnemo.checkpoint.comparing.compare import compare_checkpoints
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.codecs import decode_plain
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.reading import buffers
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, linear_names, map_of_patterns
from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
from trtnemo.checkpoint.rewrite.quantizing.scalars import read_scalars
from trtnemo.errors import CheckpointError, MachineError, UsageError


@pytest.fixture
def source(make_checkpoint: Any) -> Checkpoint:
    return Checkpoint.open(make_checkpoint("bf16"))


def weights_alone(checkpoint: Checkpoint) -> QuantizationMap:
    return weight_only(map_of_patterns(checkpoint.config, PRESETS["nvfp4"], every=False))[0]


def bits(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        name: (info.storage.value, info.shape, checkpoint.read(name).data.tobytes())
        for name, info in checkpoint.tensors.items()
    }


@pytest.mark.parametrize(("name", "formats"), [("quantized", QUANTIZED), ("every-kind", EVERY_KIND)])
@pytest.mark.parametrize("part", [buffers.PART, 4096])
def test_every_tensor_is_modelopts_bit_for_bit(
    source: Checkpoint, made_by_modelopt: Path, tmp_path: Path, monkeypatch: Any, name: str, formats: Any, part: int
) -> None:
    monkeypatch.setattr(buffers, "PART", part)
    theirs = Checkpoint.open(made_by_modelopt / name)
    target = map_of_patterns(source.config, formats, every=True)
    target = QuantizationMap(layers=target.layers, fp8_kv_cache=True)
    done = quantize_stream(
        source, tmp_path / "new", target, scalars=read_scalars(source.config, target, theirs), shard_bytes=400_000
    )
    assert done.files > 3
    ours = Checkpoint.open(tmp_path / "new")
    assert bits(ours) == bits(theirs)
    found, expected = (json.loads((one.directory / "hf_quant_config.json").read_text()) for one in (ours, theirs))
    assert found["quantization"] == expected["quantization"]
    assert audit(ours).passed


@pytest.mark.parametrize("name", ["plain", "mixed"])
def test_weights_that_share_an_input_share_a_scale_as_in_modelopts_own_export(
    source: Checkpoint, made_by_modelopt: Path, tmp_path: Path, name: str
) -> None:
    theirs = Checkpoint.survey(made_by_modelopt / name)  # whose names are damaged, and whose MTP head is gone
    layers = {
        module: theirs.quantization.format_of(module)
        for module in linear_names(source.config)
        if not module.startswith("mtp.")
    }
    target = QuantizationMap(layers=layers, fp8_kv_cache=theirs.quantization.fp8_kv_cache)
    quantize_stream(source, tmp_path / "new", target, scalars=read_scalars(source.config, target, theirs))
    ours, expected = bits(Checkpoint.open(tmp_path / "new")), bits(theirs)
    assert {module for module, kind in layers.items() if kind is not WeightFormat.PLAIN}
    assert {tensor: ours[tensor] for tensor in expected} == expected


def test_weights_alone_need_no_scales_of_inputs(source: Checkpoint, tmp_path: Path) -> None:
    quantize_stream(source, tmp_path / "new", weights_alone(source))
    new = Checkpoint.open(tmp_path / "new")
    assert new.quantization.format_of("backbone.layers.1.mixer.experts.0.up_proj") is WeightFormat.NVFP4_WEIGHT_ONLY
    assert [name for name in new.tensors if name.endswith(("input_scale", "k_scale"))] == []
    assert np.array_equal(new.read("mtp.layers.0.eh_proj.weight").data, source.read("mtp.layers.0.eh_proj.weight").data)
    card = (tmp_path / "new" / "README.md").read_text()
    assert "| W4A16_NVFP4 |" in card
    assert "weights alone are quantized" in card
    assert (tmp_path / "new" / "tokenizer.json").is_file()


def test_searched_scales_leave_less_of_every_tensor(source: Checkpoint, tmp_path: Path) -> None:
    noise: dict[str, dict[str, float]] = {}
    searches: tuple[Search, ...] = ("max", "four-over-six", "mse")
    for search in searches:
        quantize_stream(source, tmp_path / search, weights_alone(source), search=search)
        new = Checkpoint.open(tmp_path / search)
        assert audit(new).passed
        noise[search] = {one.name: one.noise for one in compare_checkpoints(source, new).differing}
    assert noise["max"].keys() == noise["mse"].keys()
    assert all(noise["mse"][name] < noise["four-over-six"][name] < noise["max"][name] for name in noise["max"])
    assert "6 or 4" in (tmp_path / "four-over-six" / "README.md").read_text()


def test_inputs_without_scales_are_refused_before_anything_is_written(source: Checkpoint, tmp_path: Path) -> None:
    target = map_of_patterns(source.config, PRESETS["super"], every=False)
    with pytest.raises(UsageError, match="weights do not tell the scales of inputs"):
        quantize_stream(source, tmp_path / "new", target)
    assert list(tmp_path.iterdir()) == []


def test_scales_of_another_network_or_without_a_layer_are_refused(
    source: Checkpoint, made_by_modelopt: Path, make_checkpoint: Any, tmp_path: Path
) -> None:
    target = map_of_patterns(source.config, PRESETS["super"], every=False)
    with pytest.raises(CheckpointError, match=r"has no backbone\.layers\.0\.mixer\.out_proj\.input_scale"):
        quantize_stream(
            source,
            tmp_path / "new",
            target,
            scalars=read_scalars(source.config, target, Checkpoint.open(made_by_modelopt / "quantized")),
        )
    with pytest.raises(CheckpointError, match="of another network"):
        quantize_stream(
            source, tmp_path / "new", target, scalars=read_scalars(source.config, target, Checkpoint.open("tiny"))
        )


def test_the_head_alone_may_be_quantized(source: Checkpoint, tmp_path: Path) -> None:
    target = QuantizationMap(layers={"lm_head": WeightFormat.NVFP4_WEIGHT_ONLY})
    quantize_stream(source, tmp_path / "new", target)
    assert Checkpoint.open(tmp_path / "new").quantization.format_of("lm_head") is WeightFormat.NVFP4_WEIGHT_ONLY


def test_a_product_that_stays_plain_gives_the_others_no_scale(source: Checkpoint, tmp_path: Path) -> None:
    module = "backbone.layers.3.mixer"
    both = {f"{module}.{name}": WeightFormat.NVFP4_WEIGHT_ONLY for name in ("q_proj", "k_proj")}
    quantize_stream(source, tmp_path / "new", QuantizationMap(layers=both))
    largest = max(np.abs(decode_plain(source.read(f"{name}.weight"))).max() for name in both)
    new = Checkpoint.open(tmp_path / "new")
    assert {float(new.read(f"{name}.weight_scale_2").data) for name in both} == {float(np.float32(largest / 2688))}


def test_formats_that_leave_all_plain_are_refused_before_anything_is_written(
    source: Checkpoint, tmp_path: Path
) -> None:
    target, plain = weight_only(map_of_patterns(source.config, PRESETS["fp8"], every=False))
    assert plain
    with pytest.raises(UsageError, match="nothing would be quantized"):
        quantize_stream(source, tmp_path / "new", target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoiled", ["zero", "lacking"])
def test_scales_that_cannot_be_are_not_taken(
    source: Checkpoint, made_by_modelopt: Path, tmp_path: Path, spoiled: str
) -> None:
    shutil.copytree(made_by_modelopt / "quantized", tmp_path / "other")
    content = load(tmp_path / "other")
    name = "backbone.layers.3.mixer.k_proj.k_scale"
    if spoiled == "zero":
        content[name] *= 0
    else:
        del content[name]
    save(tmp_path / "other", content)
    target = QuantizationMap(layers=map_of_patterns(source.config, QUANTIZED, every=True).layers, fp8_kv_cache=True)
    with pytest.raises(CheckpointError, match=r"is no positive number|has no .*k_scale, and has others"):
        quantize_stream(
            source,
            tmp_path / "new",
            target,
            scalars=read_scalars(source.config, target, Checkpoint.open(tmp_path / "other")),
        )


def test_a_source_that_changes_meanwhile_is_refused(source: Checkpoint, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source.directory, copy)
    (weights,) = copy.glob("*.safetensors")

    def touch(what: str, done: int, total: int) -> None:
        weights.touch()

    with pytest.raises(CheckpointError, match="changed while it was read"):
        quantize_stream(Checkpoint.open(copy), tmp_path / "new", weights_alone(source), report=touch)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_named(source: Checkpoint, tmp_path: Path, value: float) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source.directory, copy)
    info = source.tensors["backbone.layers.1.mixer.experts.5.up_proj.weight"]
    (weights,) = copy.glob("*.safetensors")
    with weights.open("r+b") as file:
        file.seek(info.offset + 2 * 777)
        file.write((np.float32(value).view(np.uint32) >> np.uint32(16)).astype(np.uint16).tobytes())
    with pytest.raises(CheckpointError, match="holds infinity or NaN") as raised:
        quantize_stream(Checkpoint.open(copy), tmp_path / "new", weights_alone(source))
    assert "experts.5.up_proj" in str(raised.value)


def test_a_tensor_of_zeros_stays_zeros(source: Checkpoint, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source.directory, copy)
    info = source.tensors["backbone.layers.1.mixer.experts.5.up_proj.weight"]
    (weights,) = copy.glob("*.safetensors")
    with weights.open("r+b") as file:
        file.seek(info.offset)
        file.write(bytes(info.size))
    quantize_stream(Checkpoint.open(copy), tmp_path / "new", weights_alone(source))
    new = Checkpoint.open(tmp_path / "new")
    module = "backbone.layers.1.mixer.experts.5.up_proj"
    assert not new.read(f"{module}.weight").data.any()
    assert new.read(f"{module}.weight_scale_2").data == 1
    assert audit(new).findings == []


def test_what_cannot_be_quantized_or_written_is_told(
    source: Checkpoint, make_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantized = Checkpoint.open(make_checkpoint("nvfp4"))
    with pytest.raises(CheckpointError, match="is quantized already"):
        quantize_stream(quantized, tmp_path / "new", weights_alone(source))
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
        quantize_stream(source, tmp_path / "file" / "new", weights_alone(source))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("")
    for place in (source.directory,):
        with pytest.raises(CheckpointError, match="is or holds what the copy is made of"):
            quantize_stream(source, place, weights_alone(source), force=True)
        assert (source.directory / "config.json").is_file()
    with pytest.raises(CheckpointError, match="already exists"):
        quantize_stream(source, tmp_path / "there", weights_alone(source))
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        quantize_stream(source, tmp_path / "there", weights_alone(source), force=True)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(MachineError, match="1,000 bytes free"):
        quantize_stream(source, tmp_path / "new", weights_alone(source))

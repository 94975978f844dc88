"""Packed weights hold the checkpoint's bits, whatever their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo import _native
from trtnemo.backends.cpu.buffers import assign_buffers
from trtnemo.backends.cpu.packed import INDEX, WEIGHTS, read_index
from trtnemo.backends.cpu.packing import pack_weights, parameter_forms
from trtnemo.checkpoint import Checkpoint
from trtnemo.errors import EngineError
from trtnemo.network import NemotronH

ITEMS = {"float32": np.uint32, "bfloat16": np.uint16, "e4m3": np.uint8}


@settings(deadline=None)
@given(st.sampled_from(sorted(ITEMS)), st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_plain_tiles_interleave_sixteen_rows(format: Any, rows: Any, columns: Any, seed: Any) -> None:
    kind = np.dtype(ITEMS[format])
    values = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (rows, columns), kind, endpoint=True)
    packed = _native.pack_matrix(format, rows, columns, values.reshape(-1).view(np.uint8), None)
    assert packed.nbytes % _native.ALIGNMENT == 0
    tiles = packed.reshape(-(-rows // 16), -1)[:, : columns * 16 * kind.itemsize].copy().view(kind)
    unpacked = tiles.reshape(-1, columns, 16).transpose(0, 2, 1).reshape(-1, columns)
    assert np.array_equal(unpacked[:rows], values)
    assert not unpacked[rows:].any()


def unpack_nvfp4(packed: Any, rows: Any, blocks: Any) -> Any:
    """Return codes [rows, columns] and scales [rows, blocks], byte by byte as layout.hpp describes them."""
    codes, scales = np.zeros((rows, blocks * 16), np.uint8), np.zeros((rows, blocks), np.uint8)
    tiles = packed.reshape(-(-rows // 16), -1)
    for row in range(rows):
        tile = tiles[row // 16]
        for block in range(blocks):
            start, place = block // 4 * 576, block % 4
            members = min(4, blocks - block // 4 * 4)
            scales[row, block] = tile[start + members * 128 + place * 16 + row % 16]
            for column in range(16):
                byte = tile[start + place * 128 + column // 8 * 64 + row % 16 * 4 + column % 4]
                codes[row, block * 16 + column] = byte >> 4 if column // 4 % 2 else byte & 15
    return codes, scales


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_nvfp4_tiles_hold_every_code_and_scale(rows: Any, blocks: Any, seed: Any) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 16, (rows, blocks * 16), np.uint8)
    scales = random.integers(0, 127, (rows, blocks), np.uint8)
    stored = (codes[:, ::2] | codes[:, 1::2] << 4).reshape(-1)
    packed = _native.pack_matrix("nvfp4", rows, blocks * 16, stored, scales.reshape(-1))
    found_codes, found_scales = unpack_nvfp4(packed, rows, blocks)
    assert np.array_equal(found_codes, codes)
    assert np.array_equal(found_scales, scales)


@pytest.mark.parametrize(
    ("format", "rows", "columns", "given", "scales"),
    [("nvfp4", 4, 24, 48, 8), ("nvfp4", 4, 32, 63, 8), ("nvfp4", 4, 32, 64, None), ("bfloat16", 4, 8, 63, None)],
)
def test_bytes_of_another_size_are_refused(
    format: str, rows: int, columns: int, given: int, scales: int | None
) -> None:
    blocks = None if scales is None else np.zeros(scales, np.uint8)
    with pytest.raises(ValueError, match="sizes that were named"):
        _native.pack_matrix(format, rows, columns, np.zeros(given, np.uint8), blocks)


def test_quantized_weights_keep_their_size(make_checkpoint: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(make_checkpoint("nvfp4", "small"))
    model = NemotronH.from_checkpoint(checkpoint)
    index = pack_weights(checkpoint, [model.record_target(), model.record_mtp()], tmp_path, lambda *_: None)
    assert index.size == (tmp_path / WEIGHTS).stat().st_size
    assert index.size < 1.02 * checkpoint.total_bytes
    assert read_index(tmp_path) == index
    assert all(tensor.offset % _native.ALIGNMENT == 0 for tensor in index.tensors.values())


def test_weights_of_another_layout_are_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(make_checkpoint("nvfp4"))
    pack_weights(checkpoint, [NemotronH.from_checkpoint(checkpoint).record_target()], tmp_path, lambda *_: None)
    text = (tmp_path / INDEX).read_text()
    (tmp_path / INDEX).write_text(text.replace("cpu-v1", "cpu-v0"))
    with pytest.raises(EngineError, match="packed as 'cpu-v0'"):
        read_index(tmp_path)
    (tmp_path / INDEX).write_text(text[:100])
    with pytest.raises(EngineError, match="cannot be read"):
        read_index(tmp_path)


def test_a_table_that_is_also_a_head_is_packed_in_tiles(make_checkpoint: Any) -> None:
    model = NemotronH.from_checkpoint(Checkpoint.open(make_checkpoint("bf16")))
    target = model.record_target()
    forms = parameter_forms([target])
    assert forms["backbone.embeddings.weight"] == "rows"
    assert forms["lm_head.weight"] == "tiles"
    assert forms["backbone.norm_f.weight"] == "vector"
    model.lm_head.weight = model.backbone.embeddings.weight
    assert parameter_forms([model.record_target()])["backbone.embeddings.weight"] == "tiles"


def test_no_two_values_that_are_needed_at_once_share_a_buffer(make_checkpoint: Any) -> None:
    model = NemotronH.from_checkpoint(Checkpoint.open(make_checkpoint("mixed")))
    for graph in (model.record_target(), model.record_mtp()):
        buffers = assign_buffers(graph)
        assert len(set(buffers.values())) < 12
        holder: dict[int, str] = {buffers[name]: name for name in graph.inputs if name in buffers}
        for node in graph.nodes:
            for name in node.inputs:
                assert name not in buffers or holder[buffers[name]] == name
            assert all(buffers[node.output] != buffers.get(name) for name in node.inputs)
            holder[buffers[node.output]] = node.output
        for name in graph.outputs.values():
            assert holder[buffers[name]] == name

"""Safetensors headers: honest files are read, lying ones are refused before anything is allocated."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from trtnemo.checkpoint.format.header import parse_header, read_header
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.errors import HeaderError


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_file_of_the_safetensors_library_is_read(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.zeros((), np.float32),
        "c": np.zeros((0, 4), np.int8),
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(arrays))
    found = read_header(path)
    assert {name: info.shape for name, info in found.items()} == {name: array.shape for name, array in arrays.items()}
    info = found["b"]
    data = path.read_bytes()[info.offset : info.offset + info.size]
    assert np.array_equal(np.frombuffer(data, np.float32).reshape(2, 3), arrays["b"])


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"{", b"", "not JSON"),
        (b"[]", b"", "not a JSON object"),
        (b"\xff\xfe", b"", "not JSON"),
        (b'{"a": 1, "a": 2}', b"", "twice"),
        ({"a": 3}, b"", "dtype, shape, data_offsets"),
        ({"a": {**entry(0, 4, [1]), "more": 1}}, b"1234", "dtype, shape, data_offsets"),
        ({"a": entry(0, 4, [1], "F31")}, b"1234", "unknown"),
        ({"a": entry(0, 4, [2])}, b"1234", "does not fill"),
        ({"a": entry(0, 4, [-1])}, b"1234", "whole numbers"),
        ({"a": entry(0, 4, [True])}, b"1234", "whole numbers"),
        ({"a": entry(0, 8, [2])}, b"1234", "outside"),
        ({"a": entry(4, 0, [1])}, b"1234", "outside"),
        ({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"1234", "overlap"),
        ({"a": entry(0, 8, [2]), "b": entry(4, 8, [1])}, b"12345678", "overlap"),
        ({"a": entry(4, 8, [1])}, b"12345678", "belong to no tensor"),
        ({"a": entry(0, 4, [1])}, b"12345678", "at its end"),
        ({"a": entry(0, 4, [1 << 60])}, b"1234", "whole numbers"),
        ({"a": entry(0, 4, [1 << 40, 1 << 40])}, b"1234", "does not fill"),
    ],
)
def test_a_lying_header_is_refused(tmp_path: Path, header: Any, data: Any, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        read_header(write(tmp_path / "x.safetensors", header, data))


@pytest.mark.parametrize("content", [b"", b"1234", struct.pack("<Q", 1 << 40) + b"{}", struct.pack("<Q", 50) + b"{}"])
def test_a_truncated_file_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(HeaderError, match=r"truncated|claims a header"):
        read_header(path)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 1000))
def test_any_bytes_are_read_or_refused_and_nothing_else(text: bytes, size: Any) -> None:
    with contextlib.suppress(HeaderError):
        require_filled(parse_header(text, size, Path("x")), len(text), size)


def require_filled(tensors: dict[str, TensorInfo], header_bytes: int, data_bytes: int) -> None:
    """Assert that tensors lie behind each other and fill the data to the last byte, each as long as its shape says."""
    position = 8 + header_bytes
    for info in sorted(tensors.values(), key=lambda item: (item.offset, item.size)):
        assert (info.offset, info.size) == (position, math.prod(info.shape) * info.storage.itemsize)
        position += info.size
    assert position == 8 + header_bytes + data_bytes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


ANY_ENTRY = st.fixed_dictionaries({"dtype": st.sampled_from(["F32", "U8"]) | JSON, "shape": JSON, "data_offsets": JSON})
NEARLY_HONEST = st.builds(lambda size, more: entry(0, size + more, [size], "U8"), st.integers(0, 64), st.integers(0, 1))


@settings(max_examples=300)
@given(st.dictionaries(st.text(max_size=3), ANY_ENTRY) | st.dictionaries(st.just("x"), NEARLY_HONEST, min_size=1))
def test_any_entries_are_read_or_refused_and_nothing_else(entries: Any) -> None:
    text = json.dumps(entries).encode()
    with contextlib.suppress(HeaderError):
        require_filled(parse_header(text, 64, Path("x")), len(text), 64)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(sorted(StorageType)), st.lists(st.integers(0, 5), max_size=3)), max_size=6))
def test_every_honest_header_is_read(shapes: Any) -> None:
    position, header = 0, {}
    for number, (storage, shape) in enumerate(shapes):
        size = storage.itemsize * int(np.prod(shape, dtype=np.int64))
        header[f"t{number}"] = entry(position, position + size, shape, storage.value)
        position += size
    found = parse_header(json.dumps(header).encode(), position, Path("x"))
    assert [(info.storage, list(info.shape)) for info in found.values()] == shapes

"""Headers made by an attacker: mutations are read or refused, and nothing grows beyond the file.

10,000 of them in `make test-slow`, a tenth in `make test`.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.header import parse_header, read_header
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.errors import CheckpointError, HeaderError

SIZES = {"a": 8, "b": 24, "c": 4}
DATA = 36
PLACE = Path("x.safetensors")


def header() -> dict[str, object]:
    """Return the header of a small honest file."""
    return {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [8, 32]},
        "c": {"dtype": "U8", "shape": [4], "data_offsets": [32, 36]},
    }


NUMBERS = st.integers(-3, 40) | st.sampled_from([2**31, 2**48, 2**63 - 1, 2**64, 10**30]) | st.floats() | st.booleans()
VALUES = NUMBERS | st.none() | st.text(max_size=4) | st.lists(NUMBERS, max_size=5) | st.dictionaries(st.text(), NUMBERS)
DTYPES = st.sampled_from([*(kind.value for kind in StorageType), "F4", "", "f32"]) | VALUES
FIELDS = st.sampled_from(["dtype", "shape", "data_offsets", "extra"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", "__metadata__"]), FIELDS, DTYPES | VALUES), min_size=1, max_size=3
)


def check_honest(tensors: dict[str, TensorInfo], header_bytes: int) -> None:
    """Assert that what was read fills the data of the file, without hole or overlap."""
    position = 8 + header_bytes
    for info in sorted(tensors.values(), key=lambda item: (item.offset, item.size)):
        assert info.size == math.prod(info.shape) * info.storage.itemsize
        assert info.offset == position
        position += info.size
    assert position == 8 + header_bytes + DATA


@pytest.mark.fuzz
@given(CHANGES)
def test_changed_entries_are_read_or_refused(changes: Any) -> None:
    entries = header()
    for name, field, value in changes:
        entry = entries.get(name)
        entries[name] = {**entry, field: value} if isinstance(entry, dict) else {field: value}
    text = json.dumps(entries).encode()
    with contextlib.suppress(HeaderError):
        check_honest(parse_header(text, DATA, PLACE), len(text))


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 60))
def test_changed_bytes_are_read_or_refused(flips: Any, cut: Any) -> None:
    text = bytearray(json.dumps(header()).encode())
    for place, value in flips:
        text[place % len(text)] = value
    kept = bytes(text[: len(text) - cut])
    with contextlib.suppress(HeaderError):
        check_honest(parse_header(kept, DATA, PLACE), len(kept))


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 100_000_001) + b"{}",
        struct.pack("<Q", 3) + b"{}",
        struct.pack("<q", -1) + b"{}",
    ],
)
def test_a_lying_length_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(HeaderError):
        read_header(path)


def test_a_header_of_more_than_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(200_000_000)
    with pytest.raises(HeaderError, match="claims a header"):
        read_header(path)


@pytest.mark.parametrize("shape", [[2**40, 2**40], [2**48] * 8, [0, 2**48], [1] * 2000])
def test_shapes_that_overflow_are_refused(shape: Any) -> None:
    entry = {"x": {"dtype": "F64", "shape": shape, "data_offsets": [0, DATA]}}
    with pytest.raises(HeaderError):
        parse_header(json.dumps(entry).encode(), DATA, PLACE)


@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b'{"a":' * 200_000, b'{"a": ' + b"9" * 5000 + b"}", b'"' + b"x" * 10_000]
)
def test_nesting_and_endless_numbers_are_refused(text: Any) -> None:
    with pytest.raises(HeaderError):
        parse_header(text, DATA, PLACE)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/../../b.safetensors", "..\\b.safetensors", ""]
)
def test_an_index_that_points_elsewhere_is_refused(copy_checkpoint: Any, name: str) -> None:
    directory = copy_checkpoint()
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(CheckpointError):
        Checkpoint.survey(directory)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/proc/self/mem"])
def test_a_link_to_a_device_is_no_weight_file(copy_checkpoint: Any, target: str) -> None:
    directory = copy_checkpoint()
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors").symlink_to(target)
    with pytest.raises(CheckpointError):
        Checkpoint.survey(directory)


def test_an_index_of_a_million_repeated_keys_is_refused_soon(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    text = '{"weight_map": {' + ", ".join('"x": "y"' for _ in range(300_000)) + "}}"
    (directory / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="'x' twice"):
        Checkpoint.survey(directory)


def test_reading_a_hostile_file_takes_no_memory_beyond_it(tmp_path: Path) -> None:
    """A process allowed 64 MB more than Python itself reads files that claim terabytes."""
    path = tmp_path / "model.safetensors"
    text = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    code = (
        "import resource, sys; from pathlib import Path; from trtnemo.checkpoint.format.header import read_header\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
        "from trtnemo.errors import HeaderError\n"
        "try: read_header(Path(sys.argv[1]))\n"
        "except HeaderError: sys.exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True).returncode == 9
    assert resource.getrlimit(resource.RLIMIT_AS)  # the limit was the child's alone

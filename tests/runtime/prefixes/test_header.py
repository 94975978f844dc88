"""The head of a file of states: what was written is read, anything else is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.errors import ForeignFileError, PrefixFileError
from trtnemo.runtime.prefixes.header import _START, MAGIC, VERSION, Header, Rung, parse

RUNGS = (Rung("0" * 32, 40, 3), Rung("1" * 32, 64, 0), Rung("f" * 32, 200, 7))
HEADER = Header(engine="a" * 32, state_bytes=100, row_bytes=8, page_bytes=64, page_tokens=32, has_mtp=True, rungs=RUNGS)
PACKED = HEADER.pack()


def sealed(body: bytes, version: int = VERSION) -> bytes:
    """Return a head of any JSON, its digest right."""
    head = _START.pack(MAGIC, version, len(body)) + body
    return head + hashlib.sha256(head).digest()


def changed(**fields: Any) -> bytes:
    return sealed(msgspec.json.encode({**msgspec.to_builtins(HEADER), **fields}))


def test_what_was_written_is_read() -> None:
    assert parse(PACKED + b"payload") == (HEADER, len(PACKED))


def test_places_follow_from_lengths() -> None:
    assert [list(HEADER.pages(number)) for number in range(3)] == [[0, 1], [], [2, 3, 4, 5, 6]]
    rests = [100 + 8 * 4, 100 + 8, 100 + 8 * 8]
    assert [HEADER.rest_place(number) for number in range(3)] == [448, 448 + rests[0], 448 + sum(rests[:2])]
    assert HEADER.payload_bytes == 448 + sum(rests)


def test_digests_do_not_move_the_payload() -> None:
    full = msgspec.structs.replace(RUNGS[0], pages_sha256="e" * 64, rest_sha256="d" * 64)
    assert len(msgspec.structs.replace(HEADER, rungs=(full, *RUNGS[1:])).pack()) == len(PACKED)


@pytest.mark.fuzz
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: MAGIC + tail))
def test_arbitrary_bytes_are_never_a_head(data: bytes) -> None:
    with pytest.raises(PrefixFileError):
        parse(data)


@pytest.mark.fuzz
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_head_with_one_byte_changed_is_refused(place: int, change: int) -> None:
    data = bytearray(PACKED)
    data[place] ^= change
    with pytest.raises(PrefixFileError):
        parse(bytes(data))


@pytest.mark.fuzz
@given(st.integers(0, len(PACKED) - 1))
def test_a_head_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(PrefixFileError):
        parse(PACKED[:length])


@pytest.mark.fuzz
@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from([*HEADER.__struct_fields__, "key"]), inner), max_leaves=8))  # fmt: skip
def test_other_json_under_a_right_digest_is_refused(value: Any) -> None:
    with pytest.raises(PrefixFileError):
        parse(sealed(msgspec.json.encode(value)))


@pytest.mark.parametrize(
    "fields",
    [
        {"rungs": []},
        {"rungs": [RUNGS[1], RUNGS[0]]},
        {"rungs": [RUNGS[0], RUNGS[0]]},
        {"rungs": [Rung("0" * 32, 40, 40)]},
        {"rungs": [RUNGS[0]], "has_mtp": False},
        {"rungs": [{"key": "0" * 32, "length": 0, "unfed": 0}]},
        {"rungs": [{"key": "0" * 33, "length": 1, "unfed": 0}]},
        {"rungs": [{"key": "../" + "0" * 29, "length": 1, "unfed": 0}]},
        {"rungs": [Rung(f"{number:032x}", number + 1, 0) for number in range(9)]},
        {"page_bytes": -1},
        {"page_tokens": 0},
        {"state_bytes": 1 << 60},
        {"state_bytes": "100"},
        {"engine": "A" * 32},
        {"more": 1},
    ],
    ids=str,
)
def test_heads_that_cannot_be_true_are_refused(fields: Any) -> None:
    assert parse(changed())[0] == HEADER
    with pytest.raises(PrefixFileError, match=r"not understood|contradicts"):
        parse(changed(**fields))


@pytest.mark.parametrize("data", [b"", b"%PDF", sealed(b"{}", VERSION + 1), sealed(PACKED, 0)])
def test_what_another_program_or_version_wrote_is_told_apart(data: bytes) -> None:
    with pytest.raises(ForeignFileError):
        parse(data)

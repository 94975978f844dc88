"""Keys from a file: read strictly, never shown, renewed when the file changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trtnemo.errors import UsageError
from trtnemo.front.access.keys import KeyFile, digest, key_in


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_each_key_has_its_name_and_others_have_none(tmp_path: Path) -> None:
    keys = KeyFile(write(tmp_path / "k", "# team\n\nalice: secret-one\n bob@x : secret-two \nalice: secret-three\n"))
    assert [keys.name_of(key) for key in ("secret-one", "secret-two", "secret-three")] == ["alice", "bob@x", "alice"]
    for wrong in ("", "secret", "secret-one ", "SECRET-ONE", "secret-one\n", "\ud800", "x" * 10_000):
        assert keys.name_of(wrong) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alice secret-one", ":1: is not `name: key`"),
        ("a: short", ":1: is not `name: key`"),
        ("ok: long-enough\na b: long-enough-2", ":2: is not `name: key`"),
        ("ok: long enough", ":1: is not `name: key`"),
        ("ok: l\u00e4nge-genug", ":1: is not `name: key`"),
        ("-: long-enough", ":1: is not `name: key`"),
        ("a: same-same\nb: same-same", ":2: holds a key that an earlier line has"),
        ("", "holds no key"),
        ("metrics: only-this-one", "holds no key"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_showing_it(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        KeyFile(write(tmp_path / "k", text))
    assert told in str(caught.value)
    for part in ("secret", "enough", "same-same", "only-this"):
        assert part not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="chmod 600"):
        KeyFile(write(tmp_path / "k", "a: long-enough", mode))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        KeyFile(tmp_path / "none")
    (tmp_path / "k").write_bytes(b"\xff\xfe")
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(UsageError, match="cannot be read"):
        KeyFile(tmp_path / "k")


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_old_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "k", "a: key-number-one")
    keys = KeyFile(path)
    assert keys.refresh() is None
    write(path, "b: key-number-two!")
    assert keys.refresh() is None
    assert (keys.name_of("key-number-one"), keys.name_of("key-number-two!")) == (None, "b")
    write(path, "nonsense")
    assert "is not `name: key`" in str(keys.refresh())
    assert keys.name_of("key-number-two!") == "b"
    path.unlink()
    assert "cannot be read" in str(keys.refresh())
    replaced = write(tmp_path / "new", "c: key-number-three")
    os.replace(replaced, path)
    assert keys.refresh() is None
    assert keys.name_of("key-number-three") == "c"


def test_keys_are_held_as_hashes(tmp_path: Path) -> None:
    keys = KeyFile(write(tmp_path / "k", "a: key-number-one"))
    assert "key-number-one" not in repr(vars(keys))
    assert len(digest("x")) == 32


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"x-api-key": "abc"}, "abc"),
        ({"authorization": "Bearer abc", "x-api-key": "other"}, "abc"),
        ({"authorization": "Bearer ", "x-api-key": "abc"}, "abc"),
        ({"authorization": "Basic abc"}, None),
        ({}, None),
    ],
)
def test_a_key_comes_as_openais_or_anthropics_clients_send_it(headers: dict[str, str], key: str | None) -> None:
    assert key_in(headers) == key

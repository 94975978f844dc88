"""JSON files, digests and locks: what is refused, and what another process sees."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trtnemo.errors import CheckpointError
from trtnemo.files import digest, json_file
from trtnemo.files.digest import code_digest, file_sha256
from trtnemo.files.json_file import read_json_object, write_json
from trtnemo.files.lock import LockedError, locked


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[1]", "is not a JSON object"),
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a": 1, "b": 2, "a": 1}', "names the key 'a' twice"),
        (b'{"c": {"x": 1, "x": 2}}', "names the key 'x' twice"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused_with_its_name(tmp_path: Path, content: Any, told: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=told) as caught:
        read_json_object(path)
    assert caught.value.where == str(path)


def test_an_infinity_is_read_as_it_is_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"limit": [0.0, float("inf")], "text": "é"})
    text = (tmp_path / "a.json").read_text()
    assert "Infinity" in text
    assert text.isascii()
    assert read_json_object(tmp_path / "a.json") == {"limit": [0.0, float("inf")], "text": "é"}


def test_a_file_is_read_up_to_its_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert json_file.MAXIMUM_BYTES == 256 << 20
    monkeypatch.setattr(json_file, "MAXIMUM_BYTES", 8)
    assert read_json_object(path) == {"a": 1}
    monkeypatch.setattr(json_file, "MAXIMUM_BYTES", 7)
    with pytest.raises(CheckpointError, match="is larger than 7 bytes"):
        read_json_object(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a regular file"):
        read_json_object(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_json_object(tmp_path / "none.json")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 35])
def test_a_digest_is_of_the_whole_file_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(digest, "_CHUNK", 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(size)))
    assert file_sha256(path) == hashlib.sha256(bytes(range(size))).hexdigest()


def test_the_codes_digest_changes_with_every_file_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins' too, which lie behind a link, and the chat template."""
    seen = []

    def tell(path: Path) -> str:
        seen.append(str(path))
        return "0"

    monkeypatch.setattr(digest, "file_sha256", tell)
    first = code_digest.__wrapped__()
    for part in ("trtnemo/cli/group.py", "plugins/mamba2/op.py", "text/chat_template.jinja", "_native."):
        assert any(part in name for name in seen), part
    monkeypatch.setattr(digest, "file_sha256", lambda path: "1" if path.name == "group.py" else "0")
    assert code_digest.__wrapped__() != first


HOLD = """
import sys
from pathlib import Path
from trtnemo.files.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_holds_a_lock_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError), locked(path):
            pass
        other.kill()
    with locked(path):
        assert path.exists()
    assert path.exists()
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with locked(path):
        pass

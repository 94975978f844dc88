"""Disks with less room than the bound of the states on them: the newest stay, and nothing goes for nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.backends.asking import prompt
from tests.support.backends.prefix_disk import Disk
from trtnemo.runtime.prefixes.header import MAGIC
from trtnemo.runtime.prefixes.room import SPARE_BYTES, make_room


def disk_of(monkeypatch: Any, free: int, blocks: int = 1 << 20) -> None:
    """Have every directory say that its disk has so many bytes free."""
    status = SimpleNamespace(f_bavail=free // 512, f_frsize=512, f_blocks=blocks)
    monkeypatch.setattr(os, "statvfs", lambda _: status)


def put(root: Path, name: str, age: float, size: int = 1000) -> Path:
    path = root / ("a" * 32) / f"{name * 32}.prefix"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MAGIC.ljust(size, b"\0"))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_full_disk_keeps_the_newest_states_below_the_bound(disk: Disk, monkeypatch: Any, caplog: Any) -> None:
    # LMCache issue 1454 and sglang issue 28653: a disk smaller than the bound, which nothing empties
    disk.ask(prompt(0, 1500))
    (first,) = disk.files
    disk_of(monkeypatch, free=SPARE_BYTES)
    answer, _ = disk.ask(prompt(1, 1500))
    assert not first.exists()
    assert disk.ask(prompt(1, 1500)) == (answer, 1408)
    assert caplog.messages == []


def test_nothing_is_removed_for_what_would_not_fit_then(tmp_path: Path, monkeypatch: Any) -> None:
    files = [put(tmp_path, name, age) for name, age in (("1", 50), ("2", 10))]
    disk_of(monkeypatch, free=SPARE_BYTES + 512)
    assert not make_room(tmp_path, 1 << 30, 2513)
    assert all(file.exists() for file in files)
    assert make_room(tmp_path, 1 << 30, 1500)
    assert [file.exists() for file in files] == [False, True]


def test_disk_that_tells_no_size_is_no_full_one(tmp_path: Path, monkeypatch: Any) -> None:
    # ramfs, and tmpfs mounted with size=0, tell of no blocks
    disk_of(monkeypatch, free=0, blocks=0)
    kept = put(tmp_path, "1", 50)
    assert make_room(tmp_path, 5000, 4000)
    assert kept.exists()

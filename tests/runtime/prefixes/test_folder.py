"""Folders of states: private, bounded, and clean after a writer was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.asking import prompt, say
from tests.support.backends.prefix_disk import Disk
from tests.support.paths import ROOT
from trtnemo.backends import SnapshotForm
from trtnemo.runtime.prefixes.folder import EngineFolder
from trtnemo.runtime.prefixes.header import MAGIC
from trtnemo.runtime.prefixes.room import make_room

FORM = SnapshotForm(state_bytes=1 << 20, row_bytes=64, page_bytes=1 << 16, page_tokens=32, has_mtp=False)
# writes a file, says when it is in the middle, and goes on when it is told to
WRITER = """
import sys
from pathlib import Path
import numpy as np
from trtnemo.runtime.prefixes.header import Header, Rung
from trtnemo.runtime.prefixes.write import write_file

class Pieces:
    unfed = 0
    def parts(self):
        return [np.full((1 << 20) + 64, 7, np.uint8)]
    def page(self, number):
        return np.full(1 << 16, number, np.uint8)

asked = 0
def halt():
    global asked
    asked += 1
    if asked == 20:
        print("in the middle", flush=True)
        sys.stdin.readline()

rungs = (Rung("b" * 32, 32 * 30, 0),)
header = Header("a" * 32, 1 << 20, 64, 1 << 16, 32, False, rungs)
write_file(Path(sys.argv[1]) / ("b" * 32 + ".prefix"), header, [Pieces()], lambda: None, halt)
"""


@pytest.fixture
def folder(tmp_path: Path) -> EngineFolder:
    made = EngineFolder(tmp_path / "states", "a" * 32, FORM)
    made.open()
    return made


def start_writer(folder: EngineFolder) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder.path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    return process


def test_a_writer_that_was_killed_leaves_nothing_that_is_used(folder: EngineFolder) -> None:
    process = start_writer(folder)
    assert len(list(folder.path.iterdir())) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder.list()
    assert folder._headers == {}
    assert len(list(folder.path.iterdir())) == 1
    EngineFolder(folder.path.parent, "a" * 32, FORM).open()
    assert list(folder.path.iterdir()) == []


def test_a_writer_that_lives_is_left_to_finish(folder: EngineFolder) -> None:
    process = start_writer(folder)
    EngineFolder(folder.path.parent, "a" * 32, FORM).open()
    process.communicate("go on\n")
    assert process.returncode == 0
    folder.list()
    assert list(folder._headers) == ["b" * 32 + ".prefix"]
    (path,) = folder.path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_look_into_is_not_used(disk: Disk, caplog: Any) -> None:
    disk.ask(prompt(0, 1500))
    (path,) = disk.files
    path.parent.chmod(0o750)
    client = disk.client()
    assert [say(client, prompt(0, 1500))[1] for _ in range(2)] == [0, 0]
    assert sum("chmod 700" in record.getMessage() for record in caplog.records) == 1


def test_a_directory_that_cannot_be_made_is_told_once_and_ends_nothing(disk: Disk, caplog: Any) -> None:
    disk.root.write_text("a file")
    client = disk.client()
    assert [say(client, prompt(0, 1500))[1] for _ in range(2)] == [0, 0]
    assert [record.getMessage() for record in caplog.records] == [
        f"no states of prompts are kept on disk: {disk.root} is in the way: it, or what it leads to, is no directory"
    ]


def put(root: Path, engine: str, name: str, size: int, age: float, magic: bytes = MAGIC) -> Path:
    path = root / engine / f"{name}.prefix"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(magic.ljust(size, b"\0"))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_least_recently_used_goes_first_whoever_wrote_it(tmp_path: Path) -> None:
    a, b = "a" * 32, "b" * 32
    old, new = put(tmp_path, a, "1" * 32, 100, 50), put(tmp_path, a, "2" * 32, 100, 10)
    theirs = put(tmp_path, b, "3" * 32, 100, 30)
    assert make_room(tmp_path, 300)
    assert all(path.exists() for path in (old, new, theirs))
    assert make_room(tmp_path, 300, 50)
    assert [path.exists() for path in (old, new, theirs)] == [False, True, True]
    assert make_room(tmp_path, 300, 200)
    assert [path.exists() for path in (old, new, theirs)] == [False, True, False]
    assert not make_room(tmp_path, 300, 301)
    assert new.exists()


def test_what_is_not_ours_neither_counts_nor_goes(tmp_path: Path) -> None:
    foreign = put(tmp_path, "a" * 32, "1" * 32, 1000, 50, b"something else")
    elsewhere = put(tmp_path, "not-an-engine", "1" * 32, 1000, 50)
    short = put(tmp_path, "a" * 32, "1" * 31, 1000, 50)
    assert make_room(tmp_path, 100, 100)
    assert all(path.exists() for path in (foreign, elsewhere, short))


def test_what_is_being_written_counts(tmp_path: Path) -> None:
    put(tmp_path, "a" * 32, "1" * 32, 100, 50)
    (tmp_path / ("a" * 32) / f".{'2' * 32}.prefix.writing-12ab").write_bytes(bytes(150))
    assert make_room(tmp_path, 300, 50)
    assert len(list((tmp_path / ("a" * 32)).iterdir())) == 2
    assert make_room(tmp_path, 300, 100)
    assert len(list((tmp_path / ("a" * 32)).iterdir())) == 1
    assert not make_room(tmp_path, 300, 200)


def test_a_bounded_directory_keeps_what_was_used_last(disk: Disk) -> None:
    size = disk.ask(prompt(0, 1500)) and disk.files[0].stat().st_size
    most = 2 * size + 1000
    disk.ask(prompt(1, 1500), most=most)
    assert disk.ask(prompt(0, 1500), most=most)[1] == 1408
    disk.ask(prompt(2, 1500), most=most)
    assert len(disk.files) == 2
    assert [disk.ask(prompt(seed, 1500), most=most)[1] for seed in (0, 2)] == [1408, 1408]


def test_what_memory_answers_counts_as_used_on_disk_too(disk: Disk) -> None:
    size = disk.ask(prompt(0, 1500)) and disk.files[0].stat().st_size
    client = disk.client(memory=100 << 20, most=2 * size + 1000)
    for seed in (0, 1, 0, 2):  # the second time from memory
        assert say(client, prompt(seed, 1500))
        client._line.finish_writing(30)
    assert len(disk.files) == 2
    client.close()
    assert [disk.ask(prompt(seed, 1500))[1] for seed in (0, 2)] == [1408, 1408]

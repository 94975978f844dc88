"""Directories of states as people have them: mounts, links, other users, disks without locks or modes."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.asking import prompt, say
from tests.support.backends.prefix_disk import Disk
from trtnemo.runtime.prefixes.header import MAGIC
from trtnemo.runtime.prefixes.private import make_private

LONG = prompt(0, 1500)


def test_root_of_a_mount_keeps_what_the_system_put_there(disk: Disk) -> None:
    # cockroachdb issue 20564, ClickHouse issue 90027, backube/volsync issue 1033: lost+found ends the start
    (disk.root / "lost+found").mkdir(mode=0o000, parents=True)
    names = [disk.root / name for name in (".snapshot", ".nfs00000001", ".DS_Store", "..data")]
    for name in names:
        name.write_bytes(MAGIC)
    disk.root.chmod(0o777)  # an emptyDir (kubernetes issue 76158)
    answer, _ = disk.ask(LONG)
    assert disk.ask(LONG) == (answer, 1408)
    assert disk.ask(prompt(1, 1500), most=1)[1] == 0
    assert all(name.read_bytes() == MAGIC for name in names)
    assert (disk.root / "lost+found").is_dir()


def test_group_that_a_volume_sets_is_no_hindrance(tmp_path: Path) -> None:
    # kubernetes: fsGroup makes directories setgid, and what is made below them
    tmp_path.chmod(0o2777)
    make_private(tmp_path / "states" / "engine")
    make_private(tmp_path / "states" / "engine")
    assert (tmp_path / "states" / "engine").stat().st_mode & 0o777 == 0o700


def test_link_to_a_directory_is_followed_and_one_to_nothing_is_told(disk: Disk, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "elsewhere").mkdir()
    disk.root.symlink_to(tmp_path / "elsewhere")
    answer, _ = disk.ask(LONG)
    assert disk.ask(LONG) == (answer, 1408)
    disk.root.unlink()
    disk.root.symlink_to(tmp_path / "gone")
    assert disk.ask(LONG) == (answer, 0)
    assert caplog.messages == [
        f"no states of prompts are kept on disk: {disk.root} is in the way: it, or what it leads to, is no directory"
    ]


def test_file_in_the_path_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"a part of .*file/states is no directory"):
        make_private(tmp_path / "file" / "states" / "engine")
    (tmp_path / "engine").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError, match=r"engine is in the way: it is no directory"):
        make_private(tmp_path / "engine")


def test_folder_of_another_user_is_told_with_both_numbers(tmp_path: Path, monkeypatch: Any) -> None:
    make_private(tmp_path / "engine")
    owner = (tmp_path / "engine").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match=rf"belongs to user {owner}, and this is user {owner + 1}"):
        make_private(tmp_path / "engine")


def test_disk_that_keeps_no_modes_is_not_told_to_change_them(tmp_path: Path, monkeypatch: Any) -> None:
    # vfat, CIFS and DrvFs show every directory as 0777, whatever `chmod` says
    make = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda path, **more: (make(path, **more), path.chmod(0o777)))
    for _ in range(2):
        with pytest.raises(PermissionError, match=r"has mode 777: its file system keeps neither owners nor modes"):
            make_private(tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_disk_without_locks_is_written_and_read_as_any(disk: Disk, monkeypatch: Any, caplog: Any, number: int) -> None:
    # ComparativeGenomicsToolkit/cactus issue 1299, anyvm issue 35: NFS without a lock daemon
    def none(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    answer, _ = disk.ask(LONG)
    (path,) = disk.files
    fresh, old = (path.with_name(f".{path.name}.writing-{end}") for end in ("1a", "2b"))
    for left in (fresh, old):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert disk.ask(LONG) == (answer, 1408)
    assert (fresh.exists(), old.exists()) == (True, False)  # somebody may be writing the first
    assert caplog.messages == []


def test_directory_that_cannot_be_written_is_read(disk: Disk, monkeypatch: Any, caplog: Any) -> None:
    # a volume mounted with readOnly: true, filled by another server before
    answer, _ = disk.ask(LONG)

    def read_only(path: Any, flags: int, *more: Any, **others: Any) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *more, **others)

    opened = os.open
    monkeypatch.setattr(os, "open", read_only)
    client = disk.client()
    assert say(client, LONG) == (answer, 1408)
    assert say(client, prompt(1, 1500))[1] == 0
    client.close()
    assert [message.partition(" [Errno 30]")[0] for message in caplog.messages] == [
        "a prompt's states were not written, and others may not be:"
    ]

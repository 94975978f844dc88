"""Files of states that are damaged, strange or gone: never used, told once, and nothing of others is touched."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.asking import prompt, say
from tests.support.backends.prefix_disk import Disk
from trtnemo.runtime.prefixes import jobs
from trtnemo.runtime.prefixes.header import _START, MAGIC
from trtnemo.runtime.prefixes.read import read_header, read_rung

LONG = prompt(0, 2000)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


SPOILED: dict[str, Callable[[Path], object]] = {
    "a byte of the magic": lambda path: flip(path, 3),
    "a byte of the version": lambda path: flip(path, 16),
    "a byte of the length": lambda path: flip(path, 21),
    "a byte of a key": lambda path: flip(path, path.read_bytes().index(b'"key":"') + 8),
    "a byte of a digest": lambda path: flip(path, path.read_bytes().index(b'"rest_sha256":"') + 20),
    "the first byte of the pages": lambda path: flip(path, path.stat().st_size - read_header(path).payload_bytes),
    "the last byte": lambda path: flip(path, -1),
    "cut in its head": lambda path: cut(path, 100),
    "without its last byte": lambda path: cut(path, path.stat().st_size - 1),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: cut(path, 0),
}
FOREIGN = {"a byte of the magic", "a byte of the version", "empty"}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_file_is_told_and_not_used(disk: Disk, how: str, caplog: Any) -> None:
    answer, _ = disk.ask(LONG)
    (path,) = disk.files
    SPOILED[how](path)
    spoiled = path.read_bytes()
    client = disk.client()
    assert say(client, LONG) == (answer, 0)
    client.close()
    told = [record for record in caplog.records if str(path) in record.getMessage()]
    assert len(told) == 1
    assert ("left alone" in told[0].getMessage()) is (how in FOREIGN)
    # what is damaged was removed, and the state written anew under its name; what is strange keeps the name
    if how not in FOREIGN:
        assert disk.ask(LONG) == (answer, 1920)
    assert (path.read_bytes() == spoiled) is False or how in FOREIGN


def test_a_damaged_file_is_passed_over_for_the_next_shorter_one(disk: Disk) -> None:
    long = prompt(0, 6000)
    disk.ask(long[:3000])
    (first,) = disk.files
    answer, _ = disk.ask(long)
    (second,) = set(disk.files) - {first}
    flip(second, -1)
    assert disk.ask(long) == (answer, 2944)


def test_a_file_of_another_engine_is_left_alone(disk: Disk, caplog: Any) -> None:
    """Put where ours are, under a name of ours, as who copies a directory would."""
    answer, _ = disk.ask(LONG)
    disk.ask(LONG, engine="other")
    ours, theirs = sorted(disk.files, key=lambda path: path.stat().st_mtime_ns)
    shutil.copy(theirs, ours)
    copied = ours.read_bytes()
    client = disk.client()
    assert say(client, LONG) == (answer, 0)
    assert say(client, LONG) == (answer, 0)
    assert sum("another engine's" in record.getMessage() for record in caplog.records) == 1
    del client
    assert theirs.read_bytes() == copied


def test_files_that_are_not_ours_stay_as_they_are(disk: Disk, tmp_path: Path) -> None:
    disk.ask(LONG)
    (path,) = disk.files
    outside = tmp_path / "outside"
    outside.write_bytes(MAGIC + b"of somebody else")
    strange = [disk.root / "note.txt", path.with_name("note.txt"), path.with_name("0" * 32), path.with_name("b.prefix")]
    for name in strange:
        name.write_text("mine")
    foreign = path.with_name("a" * 32 + ".prefix")
    foreign.write_text("looks like ours")
    path.with_name("b" * 32 + ".prefix").symlink_to(outside)
    path.with_name("c" * 32 + ".prefix").mkdir()
    assert disk.ask(LONG)[1] == 1920
    disk.ask(prompt(1, 2000), most=path.stat().st_size * 6 // 5)  # which removes whatever it may
    assert not path.exists()
    assert all(name.read_text() == "mine" for name in strange)
    assert foreign.read_text() == "looks like ours"
    assert outside.exists()
    assert path.with_name("b" * 32 + ".prefix").is_symlink()


def test_a_file_that_vanished_between_listing_and_reading_is_a_miss(disk: Disk, monkeypatch: Any, caplog: Any) -> None:
    answer, _ = disk.ask(LONG)

    def vanishing(path: Path, *rest: Any) -> None:
        path.unlink()
        read_rung(path, *rest)

    monkeypatch.setattr(jobs, "read_rung", vanishing)
    assert disk.ask(LONG) == (answer, 0)
    assert caplog.records == []


def test_two_engines_at_once_do_not_hurt_each_other(disk: Disk) -> None:
    """Both write the same prompts and prompts of their own, under a bound that keeps removing files."""
    prompts = [prompt(seed, 1500) for seed in range(5)]
    expected = [disk.ask(tokens, most=1)[0] for tokens in prompts]
    clients = [disk.client(most=4_000_000) for _ in range(2)]
    said: list[Any] = []

    def run(client: Any, order: Any) -> None:
        for number in [*order, *order]:
            said.append((number, say(client, prompts[number])[0]))

    threads = [
        threading.Thread(target=run, args=(client, order))
        for client, order in zip(clients, ([0, 1, 2, 3, 4], [4, 0, 1, 3, 2]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 20
    assert all(answer == expected[number] for number, answer in said)
    for client in clients:
        client.close()
    assert [path for path in disk.files if ".writing" in path.name] == []
    assert sum(path.stat().st_size for path in disk.files) <= 4_000_000


def test_a_head_of_another_version_is_another_versions(disk: Disk, caplog: Any) -> None:
    disk.ask(LONG)
    (path,) = disk.files
    data = path.read_bytes()
    _, version, size = _START.unpack_from(data)
    path.write_bytes(_START.pack(MAGIC, version + 1, size) + data[_START.size :])
    client = disk.client(most=1)
    assert [say(client, LONG)[1] for _ in range(2)] == [0, 0]
    assert sum("version 2" in record.getMessage() for record in caplog.records) == 1
    assert path.exists()

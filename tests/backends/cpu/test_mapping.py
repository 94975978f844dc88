"""Weights that are locked in memory, or lie in huge pages, and systems that forbid it."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.executors import make_native
from tests.support.commands import run_command, trtnemo_here
from trtnemo.backends import make_batch
from trtnemo.backends.cpu import mapping
from trtnemo.backends.cpu.mapping import ask_for_huge_pages, lock_weights
from trtnemo.backends.cpu.packed import WEIGHTS
from trtnemo.endpoint import serving
from trtnemo.errors import MachineError

# trtnemo as strangers run it: without CAP_IPC_LOCK, which lifts the limit, and with a limit of some bytes
LIMITED = """
import ctypes, os, resource, sys
header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
ctypes.CDLL(None).prctl(24, 14)  # out of the bounding set, or root has it again after exec
ctypes.CDLL(None).capset(header, none)
resource.setrlimit(resource.RLIMIT_MEMLOCK, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "trtnemo", *sys.argv[2:]])
"""


class Refusing:
    """Stands for a native executor on a system that gives neither."""

    weight_bytes = 1 << 30

    def __init__(self, number: int) -> None:
        self.number = number

    def lock_weights(self) -> int:
        return self.number

    ask_for_huge_pages = lock_weights


def locked_below(pid: int) -> int:
    """Return the bytes that the processes below one have locked, the most of any."""
    most = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            found = re.search(r"VmLck:\s+(\d+) kB", (place / "status").read_text())
        except OSError:
            continue
        if int(parent) == pid:
            most = max(most, int(found[1]) << 10 if found else 0, locked_below(int(place.name)))
    return most


def test_engine_that_was_built_without_is_locked_at_serve_time(make_engine: Any) -> None:
    # abetlen/llama-cpp-python issue 254 and others: a warning, and a server that runs unlocked
    directory = make_engine("bf16")
    size = next(directory.rglob(WEIGHTS)).stat().st_size
    with serving(["--engine", str(directory)]):
        assert locked_below(os.getpid()) < size
    with serving(["--engine", str(directory), "--set", "cpu.lock_memory=true", "--set", "cpu.huge_pages=true"]):
        assert locked_below(os.getpid()) >= size


def test_limit_that_is_too_low_ends_the_start_with_its_name(make_engine: Any) -> None:
    # ggml-org/llama.cpp issue 4072: a container with a limit of its own
    words = ["serve", "--engine", make_engine("bf16"), "--port", "0", "--set", "cpu.lock_memory=true"]
    command = [sys.executable, "-c", LIMITED, "65536", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (6, "", False), done.stderr
    size = next(Path(words[2]).rglob(WEIGHTS)).stat().st_size
    for part in (f"{size:,} bytes", "RLIMIT_MEMLOCK is 65,536 bytes", "ulimit -l unlimited", "--ulimit memlock=-1"):
        assert part in done.stderr


def test_limit_is_not_blamed_for_what_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    # ggml-org/llama.cpp pull 888: the advice to raise a limit that was not the cause
    limits = {"now": (resource.RLIM_INFINITY,) * 2}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    with pytest.raises(MachineError, match=r"RLIMIT_MEMLOCK is without a limit.* The limit is not what is short"):
        lock_weights(Refusing(errno.ENOMEM))
    limits["now"] = (1 << 20,) * 2
    with pytest.raises(MachineError, match=r"RLIMIT_MEMLOCK is 1,048,576 bytes\. Raise it"):
        lock_weights(Refusing(errno.EPERM))


def test_both_options_change_no_number(make_checkpoint: Any) -> None:
    batch = make_batch([(0, 0, [5, 6, 7, 8], False)])
    plain, placed = (
        make_native(make_checkpoint("mixed"), slots=1, max_seq_len=64, **more)
        for more in ({}, {"lock_memory": True, "huge_pages": True})
    )
    assert (plain.forward(batch).logits == placed.forward(batch).logits).all()


@pytest.mark.parametrize(
    ("choice", "number", "told"),
    [
        ("always [madvise] never\n", 0, ""),
        ("[always] madvise never\n", 0, ""),
        ("always madvise [never]\n", 0, "says never"),
        (None, 0, "is not there"),
        ("always [madvise] never\n", errno.EINVAL, "Invalid argument"),
    ],
)
def test_kernel_without_huge_pages_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, choice: str | None, number: int, told: str
) -> None:
    monkeypatch.setattr(mapping, "HUGE_PAGES", tmp_path / "enabled")
    if choice is not None:
        (tmp_path / "enabled").write_text(choice)
    ask_for_huge_pages(Refusing(number))
    assert len(caplog.messages) == bool(told)
    assert told in caplog.text


def test_what_changes_an_engine_is_still_refused_at_serve_time(make_engine: Any) -> None:
    done = trtnemo_here("serve", "--engine", make_engine("bf16"), "--set", "cpu.activations=int8")
    assert (done.returncode, "an engine is built already" in done.stderr) == (2, True)


def test_engine_in_torch_has_no_mapping_to_lock(make_engine: Any) -> None:
    directory = make_engine("bf16", "cpu.lowering=torch")
    done = trtnemo_here("serve", "--engine", directory, "--port", "0", "--set", "cpu.lock_memory=true")
    assert (done.returncode, "'cpu.lock_memory' is for packed weights" in done.stderr) == (2, True), done.stderr


def test_run_builds_one_engine_however_it_is_placed(tmp_path: Path) -> None:
    words = ("run", "tiny", "What is the capital of Japan?", "--no-thinking", "--set")
    first = run_command(tmp_path, *words, "cpu.threads=1")
    again = run_command(tmp_path, *words, "cpu.lock_memory=true")
    assert [done.stdout for done in (first, again)] == ["The capital of Japan is Tokyo.\n"] * 2, again.stderr
    assert "building" not in again.stderr
    assert ["as they are first used" in done.stderr for done in (first, again)] == [True, False]

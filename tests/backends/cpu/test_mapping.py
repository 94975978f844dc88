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


PAGE = resource.getpagesize()
ROOTS, OTHERS = "0 0 4294967295", "0 1000 1\n1 100000 65536"  # uid_map outside of, and in, a user namespace


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
    size = next(Path(words[2]).rglob(WEIGHTS)).stat().st_size
    assert size % PAGE != 0
    for limit in (0, 65536, size):  # the last one is what who reads the file's size would set
        command = [sys.executable, "-c", LIMITED, str(limit), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (6, "", False), done.stderr
        wanted = size + -size % PAGE
        for part in (
            f"wants {wanted:,} bytes",
            f"RLIMIT_MEMLOCK is {limit:,} bytes",
            "ulimit -l unlimited",
            "memlock=-1",
        ):
            assert part in done.stderr


def test_limit_is_not_blamed_for_what_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    # ggml-org/llama.cpp pull 888: the advice to raise a limit that was not the cause
    limits = {"now": (resource.RLIM_INFINITY,) * 2}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    with pytest.raises(MachineError, match=r"RLIMIT_MEMLOCK is without a limit.* The limit is not what is short"):
        lock_weights(Refusing(errno.ENOMEM))


@pytest.mark.parametrize(
    ("capabilities", "users", "is_blamed"),
    [
        ("0000000000000000", ROOTS, True),  # a user without IPC_LOCK; NVIDIA/nvcf pull 1354: with it, and not root
        ("00000000a80425fb", ROOTS, True),  # docker's root
        ("00000000a80465fb", ROOTS, False),  # the same with --cap-add IPC_LOCK: something else is short
        ("000001ffffffffff", OTHERS, True),  # podman-container-tools/podman issue 10051: root of a rootless container
    ],
)
def test_limit_binds_who_has_no_right_to_pass_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capabilities: str, users: str, is_blamed: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    monkeypatch.setattr(mapping, "PROCESS", tmp_path)
    (tmp_path / "status").write_text(f"Name:\tpython\nCapPrm:\t000001ffffffffff\nCapEff:\t{capabilities}\n")
    (tmp_path / "uid_map").write_text(users)
    remedy = "Raise it: .*IPC_LOCK" if is_blamed else "The limit is not what is short"
    with pytest.raises(MachineError, match=rf"RLIMIT_MEMLOCK is 1,048,576 bytes\. {remedy}"):
        lock_weights(Refusing(errno.ENOMEM))


def test_more_than_the_machine_has_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # ggml-org/llama.cpp issue 8424 and getumbrel/llama-gpt issue 7: a crash without a word
    monkeypatch.setattr(mapping, "usable_memory", lambda: (1 << 30) - 1)
    executor = Refusing(errno.ENOMEM)
    monkeypatch.setattr(executor, "lock_weights", lambda: pytest.fail("it was read"))
    with pytest.raises(MachineError, match=r"1,073,741,824 bytes of weights .* this process may use 1,073,741,823"):
        lock_weights(executor)


def test_huge_pages_that_a_parent_turned_off_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    # systemd pull 39085 (MemoryTHP=), oven-sh/bun pull 35691: a flag that children inherit
    (tmp_path / "enabled").write_text("[always] madvise never\n")
    (tmp_path / "status").write_text("Name:\tpython\nTHP_enabled:\t0\n")
    monkeypatch.setattr(mapping, "HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(mapping, "PROCESS", tmp_path)
    ask_for_huge_pages(Refusing(0))
    assert "turned off for this process" in caplog.text


@pytest.mark.parametrize("given", ["1", '"true"', "always", "2M", ""])
@pytest.mark.parametrize("key", ["lock_memory", "huge_pages"])
def test_either_is_true_or_false_and_nothing_else(key: str, given: str) -> None:
    # abetlen/llama-cpp-python issue 171: --use_mlock 0 was true; the kernel's own words for huge pages
    refused = trtnemo_here("check", "--recipe", "tiny", "--set", f"cpu.{key}={given}")
    assert (refused.returncode, f"'cpu.{key}' must be a valid boolean" in refused.stderr) == (3, True)


@pytest.mark.parametrize("word", ["mlock", "use_mlock", "hugepages"])
def test_other_programs_names_for_it_are_answered_with_ours(word: str) -> None:
    # ollama's and LocalAI's: use_mlock, mmlock
    refused = trtnemo_here("check", "--recipe", "tiny", "--set", f"cpu.{word}=true")
    assert (refused.returncode, "lock_memory" in refused.stderr) == (3, True)


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
        ("always madvise [never]\n", 0, "says never: the weights stay in small pages"),
        (None, 0, "took the request; whether it gives any is not told"),  # google/gvisor issue 8734, or no /sys
        (None, errno.EINVAL, "Invalid argument: the weights stay"),  # kubernetes/minikube issue 5765
        ("always [madvise] never\n", errno.EINVAL, "Invalid argument: the weights stay"),
    ],
)
def test_kernel_without_huge_pages_is_told_as_far_as_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, choice: str | None, number: int, told: str
) -> None:
    monkeypatch.setattr(mapping, "HUGE_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(mapping, "PROCESS", tmp_path)
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

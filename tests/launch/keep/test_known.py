"""What is known of a server beside what it says: how long it takes to start, and what the driver says of its GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.keep.gpu_evidence import gpu_evidence
from trtnemo.launch.keep.machine.start_times import StartTimes
from trtnemo.launch.servers.registry import find_server

XIDS = """
[12.1] NVRM: Xid (PCI:0000:5e:00): 48, pid=1234, name=python3, DBE
[12.2] NVRM: Xid (PCI:0000:5e:00): 48, pid=1234, name=python3, DBE
[12.3] NVRM: Xid (PCI:0000:5f:00): 94, pid=99, Contained: SM
[12.4] NVRM: GPU at PCI:0000:5e:00: GPU-1
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_starts_are_remembered_by_bundle(state: Path) -> None:
    times = StartTimes("a" * 64)
    assert (times.expected, times.sentence, times.budget("compiling")) == (None, "", None)
    for seconds in (400.0, 500.0, 420.0):
        times.note(seconds, {"compiling": seconds / 4})
    assert StartTimes("c" * 64).sentence == ""
    again = StartTimes("a" * 64)
    assert again.expected == 420.0
    assert again.sentence == "; its last 3 starts took about 7 minutes"
    assert again.budget("compiling") == 3 * 125.0 + 600.0
    assert again.budget("never seen") is None
    assert StartTimes("b" * 64).expected is None


def test_what_to_expect_is_told_in_words(state: Path) -> None:
    times = StartTimes("a" * 64)
    times.note(42.4, {})
    assert times.sentence == "; its last start took about 42 s"


def test_the_last_starts_alone_count(state: Path) -> None:
    times = StartTimes("a" * 64)
    for seconds in range(100, 1100, 100):
        times.note(float(seconds), {})
    assert StartTimes("a" * 64).expected == 800.0


def test_a_file_of_starts_that_is_broken_is_none(state: Path) -> None:
    times = StartTimes("a" * 64)
    times.note(1.0, {})
    (path,) = state.rglob("*.json")
    path.write_text("{")
    assert StartTimes("a" * 64).expected is None
    path.unlink()
    path.mkdir()
    StartTimes("a" * 64).note(1.0, {})  # what cannot be written is forgotten


def test_stages_are_timed_each_for_itself() -> None:
    reader = LogReader(find_server("vllm").stages)
    reader.read("Loading safetensors checkpoint shards: 1%")
    reader.read("Capturing CUDA graphs (decode): 1%")
    assert list(reader.whole()) == ["starting", "loading weights", "capturing CUDA graphs"]
    assert all(seconds >= 0 for seconds in reader.seconds.values())


def test_what_the_driver_says_is_told_once_and_with_advice_that_was_read() -> None:
    found = gpu_evidence(lambda command: "0, None\n1, Drain and Reset\n" if "smi" in command[0] else XIDS)
    assert found == [
        "GPU 1: the driver asks for 'Drain and Reset'; a new start of the server does not mend that",
        "Xid 48 on PCI:0000:5e:00: double-bit ECC error: drain the GPU, and reset it",
        "Xid 94 on PCI:0000:5f:00: see NVIDIA's catalogue of Xid errors",
    ]


@pytest.mark.parametrize(
    "text", ["", "NVIDIA B200, 183359, 10.0\n", "0, [N/A]\n", "Field is not valid\n", ",\n", "\x00"]
)
def test_where_nothing_can_be_read_nothing_is_told(text: str) -> None:
    assert gpu_evidence(lambda command: text) == []


def test_a_program_that_is_not_here_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_evidence() == []

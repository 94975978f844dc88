"""How many processors a process may use, on machines that are made of files here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.machine.control_groups import machine
from trtnemo import processors
from trtnemo.processors import usable_processors

V1 = "3:cpuset:/\n2:cpu,cpuacct:/docker/abc\n"


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 256 processors, all of them allowed."""
    monkeypatch.setattr(processors, "_allowed", lambda: 256)


@pytest.mark.usefixtures("big")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        # ollama/ollama issue 17916: version 2, a container of four of eight processors
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 256),
        # seanmonstar/num_cpus pull 96: one and a half
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        # a unit below a slice that is narrower than it
        (
            "0::/a.slice/b.service\n",
            {"a.slice/b.service/cpu.max": "800000 100000", "a.slice/cpu.max": "200000 100000"},
            2,
        ),
        # a container without a name space of its own: its path is not below its mount
        ("0::/system.slice/docker-abc.scope\n", {"cpu.max": "300000 100000"}, 3),
        ("0::/../../elsewhere\n", {"cpu.max": "300000 100000"}, 3),
        # tobocop2/lilbee pull 660: version 1, 7.65 of 96
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "765000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 8),
        (V1, {"cpu/docker/abc/cpu.cfs_quota_us": "200000", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 256),
        ("4:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        # what no kernel writes
        ("0::/\n", {"cpu.max": "many 0"}, 256),
        ("0::/\n", {"cpu.max": "0 0"}, 256),
        ("0::/\n", {"cpu.max": ""}, 256),
        ("nonsense\n", {"cpu.max": "200000 100000"}, 256),
    ],
)
def test_quota_of_the_groups_is_kept(tmp_path: Path, groups: str, files: dict[str, str], expected: int) -> None:
    assert usable_processors(machine(tmp_path, groups, files)) == expected


@pytest.mark.usefixtures("big")
def test_machine_without_groups_has_what_affinity_leaves(tmp_path: Path) -> None:
    assert usable_processors(tmp_path) == 256


def test_affinity_is_less_than_a_wide_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_allowed", lambda: 2)
    assert usable_processors(machine(tmp_path, "0::/\n", {"cpu.max": "800000 100000"})) == 2


def test_one_processor_of_taskset_is_one() -> None:
    # ollama/ollama pull 12396: limits that are set by the processors' numbers
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from trtnemo.processors import usable_processors; print(usable_processors())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"

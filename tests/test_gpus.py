"""What nvidia-smi prints, read: devices, processes, and why there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from trtnemo.gpus import find_devices, find_processes, list_devices


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: Any) -> Any:
    def put(text: str, code: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    return put


def test_processes_come_with_most_memory_first_and_without_ones_own(smi: Any) -> None:
    smi("100, python, 500\n200, /usr/bin/vllm, 70000\n300, ollama, [N/A]\n[Not Supported], x, 5")
    assert [(one.pid, one.name, one.memory_mib) for one in find_processes(besides=100)] == [
        (200, "/usr/bin/vllm", 70000),
        (300, "ollama", 0),
    ]


@pytest.mark.parametrize("memory", ["[N/A]", "[Insufficient Permissions]", "-5", "²", "12 MiB", ""])
def test_memory_that_is_no_number_is_not_told(smi: Any, memory: str) -> None:
    smi(f"NVIDIA GB10, {memory}, 12.1, GPU-1, [N/A]")
    assert [one.memory_mib for one in find_devices()] == [0]


@pytest.mark.parametrize(
    ("text", "code", "failure"),
    [
        ("a banner of another program", 0, "nvidia-smi says: a banner of another program"),
        ("x" * 900, 1, "nvidia-smi says: " + "x" * 200),
        ("\x1b[31mred", 1, "nvidia-smi says: ?[31mred"),
        ("", 0, "nvidia-smi lists no GPU"),
    ],
)
def test_what_is_no_list_is_a_reason(smi: Any, text: str, code: int, failure: str) -> None:
    smi(text, code)
    assert list_devices().failure == failure
    assert find_devices() == []


def test_a_machine_without_the_program_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_devices().failure == "nvidia-smi is not on PATH"

"""How much memory a process may use, on machines that are made of files here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machine.control_groups import machine
from trtnemo import memory
from trtnemo.backends import Budget
from trtnemo.backends.cpu.memory import require_memory
from trtnemo.backends.cpu.precision import Precision
from trtnemo.errors import MachineError
from trtnemo.machine import examine_machine
from trtnemo.memory import free_memory, usable_memory
from trtnemo.plan.hardware import cpu_device

GIB = 1 << 30
POD = "kubepods/burstable/pod22697648"
V1 = f"4:memory:/{POD}\n2:cpu,cpuacct:/{POD}\n"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of 32 GiB."""
    monkeypatch.setattr(memory, "_machine", lambda: 32 * GIB)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        # ncoevoet/facet issue 111: docker's mem_limit of 8g on a larger host
        ("0::/\n", {"memory.max": f"{8 * GIB}\n"}, 8 * GIB),
        # kserve/modelmesh issue 106: version 2 has its limit where version 1 has none
        ("0::/\n", {"memory.max": "469762048 \n"}, 469762048),
        # ollama/ollama pull 15961: no limit, and a page cache that fills what the group has used
        ("0::/\n", {"memory.max": "max\n", "memory.current": f"{28 * GIB}\n"}, 32 * GIB),
        # ollama/ollama issue 15474: with a limit, what the group's page cache holds is not gone
        ("0::/\n", {"memory.max": f"{16 * GIB}\n", "memory.current": f"{15 * GIB}\n"}, 16 * GIB),
        # Osmantic/ODS issue 2257: a limit above what the host has
        ("0::/\n", {"memory.max": f"{64 * GIB}\n"}, 32 * GIB),
        # Comfy-Org/ComfyUI pull 15927: the limit is a slice's, above the unit's own
        (
            "0::/app.slice/a.service\n",
            {"app.slice/a.service/memory.max": "max", "app.slice/memory.max": str(4 * GIB)},
            4 * GIB,
        ),
        # kubernetes/kubernetes issue 114142: version 1, seen from the node and from inside the container
        (V1, {f"memory/{POD}/memory.limit_in_bytes": "524288000\n"}, 524288000),
        (V1, {"memory/memory.limit_in_bytes": "524288000\n"}, 524288000),
        # what version 1 writes for no limit
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 32 * GIB),
        # what no kernel writes
        ("0::/\n", {"memory.max": "0\n"}, 32 * GIB),
        ("0::/\n", {"memory.max": "8g\n"}, 32 * GIB),
        ("0::/\n", {"memory.max": ""}, 32 * GIB),
        ("nonsense\n", {"memory.max": "1\n"}, 32 * GIB),
    ],
)
def test_limit_of_the_groups_is_kept(tmp_path: Path, groups: str, files: dict[str, str], expected: int) -> None:
    assert usable_memory(machine(tmp_path, groups, files)) == expected


@pytest.mark.usefixtures("host")
def test_machine_without_groups_has_its_own_memory(tmp_path: Path) -> None:
    assert usable_memory(tmp_path) == 32 * GIB


def test_no_more_is_free_than_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_memory", lambda: 1 << 20)
    assert free_memory() == 1 << 20


def test_plan_doctor_and_executor_know_of_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "group_folders", lambda *_: [(tmp_path, True)])
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    assert cpu_device("").memory_mib == 1024
    assert examine_machine().memory_gib == 1.0
    (tmp_path / "memory.max").write_text("1\n")
    budget = Budget(slots=1, max_num_tokens=1, max_seq_len=1, max_draft_tokens=0, vocab_size=1)
    with pytest.raises(MachineError, match=r"1 sequences and 1 tokens of KV cache need 0.0 GiB; .* may use 0.0"):
        require_memory((), budget, 1, Precision())

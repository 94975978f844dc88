"""What is kept serving on a machine: seen, read, ended, and taken over from a supervisor that is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.machine import Machine
from tests.support.processes import is_alive
from tests.support.waiting import wait_until
from trtnemo.launch.keep.machine.started import Started, require_started, started
from trtnemo.launch.keep.told.server_log import ServerLog


def seen(machine: Machine) -> list[dict[str, Any]]:
    result = machine.run("status", "--json")
    assert result.returncode == 0, result.stderr
    servers: list[dict[str, Any]] = json.loads(result.stdout)["servers"]
    return servers


def served(process: Any) -> None:
    for line in process.stdout:
        if line.startswith("Serving"):
            return
    raise AssertionError(process.stderr.read())


def test_a_server_is_seen_read_and_ended(keep: Any, machine: Machine) -> None:
    assert seen(machine) == []
    assert machine.run("status").stdout == "No external server is kept serving here.\n"
    assert "there are: none" in machine.run("stop").stderr
    process, _ = keep("ok")
    served(process)
    (found,) = seen(machine)
    port = found["url"].rpartition(":")[2]
    assert found["name"] == f"bundle-{port}"
    assert (found["state"], found["restarts"], found["supervisor"]) == ("serving", 0, process.pid)
    assert found["running"] == 0
    assert is_alive(found["server"])
    line = machine.run("status").stdout
    assert line.startswith(f"bundle-{port} ")
    assert "serving for" in line
    assert "Uvicorn running" in machine.run("logs").stdout
    assert "no server 'other' is kept serving here; there are: bundle-" in machine.run("logs", "other").stderr
    result = machine.run("stop", found["name"])
    assert result.returncode == 0, result.stderr
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not is_alive(found["server"])
    assert seen(machine) == []
    assert "Uvicorn running" in machine.run("logs", found["name"], "-n", "1").stdout  # its log is kept


def test_what_a_killed_supervisor_left_is_ended_by_the_next(keep: Any, machine: Machine) -> None:
    process, _ = keep("ok")
    served(process)
    (before,) = seen(machine)
    process.kill()
    process.communicate(timeout=30)
    assert is_alive(before["server"])
    (left,) = seen(machine)
    assert left["state"] == "left"
    began = time.monotonic()
    again, _ = keep("ok", "--port", before["url"].rpartition(":")[2])
    for line in again.stdout:
        if line.startswith("ended what a supervisor that is gone left of bundle-"):
            break
    assert time.monotonic() - began < 10
    assert not is_alive(before["server"])
    served(again)
    (now,) = seen(machine)
    assert (now["state"], now["supervisor"]) == ("serving", again.pid)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=30)
    assert again.returncode == 0


def test_what_is_left_is_ended_by_stop(keep: Any, machine: Machine) -> None:
    process, _ = keep("deaf")
    served(process)
    (before,) = seen(machine)
    process.kill()
    process.communicate(timeout=30)
    result = machine.run("stop")
    assert result.returncode == 0, result.stderr
    assert not is_alive(before["server"])
    assert seen(machine) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(before["url"].rpartition(":")[2])), timeout=5).close()


def test_two_supervisors_of_one_server_are_one_too_many(keep: Any, machine: Machine) -> None:
    process, _ = keep("ok")
    served(process)
    (found,) = seen(machine)
    second, _ = keep("ok", "--port", found["url"].rpartition(":")[2])
    _, err = second.communicate(timeout=30)
    assert second.returncode == 7
    assert f"{found['name']}: is supervised already by process {process.pid}" in err
    assert is_alive(found["server"])
    result = machine.run("stop", "--kill")
    assert result.returncode == 0, result.stderr
    process.communicate(timeout=30)


def test_what_is_no_member_is_passed_over(machine: Machine) -> None:
    place = machine.directory / "state" / "trtnemo" / "servers"
    place.mkdir(parents=True)
    (place / "half.json").write_text('{"name": "half"')
    (place / "other.json").write_text('{"name": 3}')
    assert seen(machine) == []


def test_a_process_is_known_by_its_start_and_a_session_by_its_first() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & exec sleep 60"], start_new_session=True) as process:
        found = require_started(process.pid)
        wait_until(lambda: len(found.session()) == 2)
        assert found.is_alive
        others = [Started(found.pid, found.ticks - 1, found.boot), Started(found.pid, found.ticks, "another boot")]
        assert [(other.is_alive, other.session()) for other in others] == [(False, []), (False, [])]
        assert not others[0].end_session(1)
        process.kill()
        process.wait()
        assert not found.is_alive
        assert len(found.session()) == 1  # the child is left
        assert found.end_session(5)
        assert found.session() == []
    assert started(2**22 + 1) is None
    mine = require_started(os.getpid())
    assert mine.is_alive


def test_a_log_turns_when_it_is_full_and_a_disk_that_is_full_ends_nothing(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "a.log", most=100)
    for number in range(40):
        log.write(f"line {number:04}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert (tmp_path / "a.log").read_text().splitlines()[-1] == "line 0039"
    assert all(path.stat().st_size <= 101 for path in tmp_path.iterdir())
    ServerLog(Path("/dev/full")).write("x")
    ServerLog(tmp_path / "nowhere" / "a.log").write("x")

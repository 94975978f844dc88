"""A supervisor that is told to stop while its server starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.losses import left_of, names
from tests.support.launch.machine import Machine
from tests.support.waiting import wait_until
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.bundle.supervise import SupervisedServer
from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.place import Place
from trtnemo.launch.keep.restarts import Restarts
from trtnemo.launch.keep.supervisor import Charge, Supervisor
from trtnemo.launch.keep.told.events import Events


def test_a_server_that_is_told_to_stop_while_it_starts_has_stopped_and_not_failed(keep: Any, machine: Machine) -> None:
    process, events = keep("hang")
    wait_until(lambda: "start" in names(events()) and machine.member(process)["server"] is not None, 60)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert names(events()) == ["start", "stopped"]
    assert left_of(machine) == []


@pytest.mark.timeout(60)
def test_a_signal_while_the_server_is_made_reaches_it(tmp_path: Path) -> None:
    """The server is none of the supervisor's yet; nobody would ask it to end a second time."""
    told: list[str] = []
    made: list[SupervisedServer] = []

    def start() -> SupervisedServer:
        supervisor.stop()
        output = Output(told.append, told.append)
        made.append(SupervisedServer(["sleep", "300"], os.environ, str(tmp_path), output, LogReader()))
        return made[0]

    def watcher() -> Any:
        raise AssertionError("it never serves")

    place = Place("http://127.0.0.1:9", "m", 300)
    charge = Charge(start=start, watcher=watcher, place=place)
    supervisor = Supervisor(charge, Restarts("no"), Events(told.append), Clock())
    supervisor.run()
    pipe = made[0]._process.stdout
    assert pipe is not None
    pipe.close()
    assert told == ["starting m at http://127.0.0.1:9", "m has stopped"]

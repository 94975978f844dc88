"""How stand-ins of each server are lost, what is told of it, and what may not be left behind."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.launch.machine import Machine
from tests.support.processes import is_alive


@dataclass(frozen=True)
class Loss:
    """One: what a stand-in does, with which settings, and the kinds, words and lines of log that tell it."""

    server: str
    behaviour: str
    told: dict[str, str]
    log: str = ""
    settings: tuple[str, ...] = ()
    version: str | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"{self.server}-{self.name or self.behaviour}"

    def require_told(self, event: dict[str, Any]) -> None:
        """Fail where an event does not tell this loss with its evidence."""
        assert event["kind"] in self.told, event
        assert self.told[event["kind"]] in event["text"], event
        assert self.log in event["log"], event


KILLED, CRASHED = {"ended": "ended by itself with exit code -9"}, {"start": "ended during start with exit code 1"}
STATUS_500 = {"mute": "health is open, and a question got no token: status 500"}
STALLED = {"stalled": "1 request runs, and no step was counted for"}
REFUSED = {"refused": "health has said 503 for"}
CLEAN = {"ended": "ended by itself with exit code 0"}
WORKER, SUBPROCESS = "Worker proc VllmWorker-0 died unexpectedly", "crashed with exit code -9. Triggering SIGQUIT"
RANK = "Executor loop crashed on this rank; hard-killing all 1 ranks in 10s"
WATCHDOG = ("sglang.args.watchdog-timeout=60",)
COUNTED = (
    'trtllm.version="1.4"',
    "trtllm.llm_args.return_perf_metrics=true",
    "trtllm.llm_args.enable_iter_perf_stats=true",
)

VLLM = (
    Loss("vllm", "clean", CLEAN),
    Loss("vllm", "rank", CLEAN, log=WORKER),
    Loss("vllm", "orphaned", KILLED),
    Loss("vllm", "stalled", STALLED),
    Loss("vllm", "silent", STATUS_500),
    Loss("vllm", "crash", CRASHED, log="something broke"),
)
SGLANG = (
    Loss("sglang", "rank", KILLED, log=SUBPROCESS),
    Loss("sglang", "orphaned", KILLED),
    Loss("sglang", "stalled", KILLED, log="Scheduler watchdog timeout", settings=WATCHDOG, name="watchdog"),
    # its own watchdog is slower than ours, and health and our question are refused at about the same time
    Loss("sglang", "stalled", {**REFUSED, "mute": "health is open, and a question got no token: ReadTimeout"}),
    Loss("sglang", "silent", STATUS_500),
    Loss("sglang", "crash", CRASHED, log="something broke"),
)
TRTLLM = (
    Loss("trtllm", "rank", REFUSED, log=RANK),
    Loss("trtllm", "dead", REFUSED),
    Loss("trtllm", "orphaned", KILLED),
    Loss("trtllm", "stalled", {"mute": "health is open, and a question got no token: ReadTimeout after 6 s"}),
    Loss("trtllm", "stalled", STALLED, settings=COUNTED, version="1.4", name="stalled-counted"),
    Loss("trtllm", "silent", STATUS_500),
    Loss("trtllm", "crash", CRASHED, log="something broke"),
)


def names(events: list[dict[str, Any]]) -> list[str]:
    """Return what happened, odd answers left out."""
    return [event["event"] for event in events if event["event"] != "drift"]


def url_of(events: list[dict[str, Any]]) -> str:
    """Return where the server of some events answers."""
    found = re.search(r"http://[\w.:]+", events[0]["text"])
    assert found, events[0]
    return found[0]


def left_of(machine: Machine) -> list[int]:
    """Return the processes that have a machine's environment: a supervisor, its servers, and all that they started."""
    mark = f"STAND_IN_LIVES={machine.environment['STAND_IN_LIVES']}".encode()
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and mark in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
        except OSError:
            continue
    return [pid for pid in found if is_alive(pid) and pid != os.getpid()]


def is_listening(url: str) -> bool:
    """Return whether anybody listens at a URL."""
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True

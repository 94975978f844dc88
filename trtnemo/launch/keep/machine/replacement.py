"""Another bundle in the place of one that is served: asked for by a file and a signal, answered in a file."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from trtnemo.errors import ServerError
from trtnemo.files.state_home import write_state
from trtnemo.launch.keep.machine.member import Member, directory, members

Outcome = Literal["replaced", "refused", "rolled back"]
_LOOK_SECONDS = 0.2
SIGNAL = signal.SIGHUP


class Answer(msgspec.Struct, frozen=True):
    """What became of it, and why."""

    outcome: Outcome
    text: str


def ask_for(member: Member, bundle: Path, patience: float) -> Answer:
    """Ask the supervisor of a server for another bundle, and return its answer; raises ServerError where none comes."""
    if not member.is_supervised:
        raise ServerError("has no supervisor that runs", where=member.name, remedy="`trtnemo serve` starts one")
    _answer(member.name).unlink(missing_ok=True)
    _asked(member.name).write_text(str(bundle.resolve()), encoding="utf-8")
    os.kill(member.supervisor.pid, SIGNAL)
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        with suppress(OSError, msgspec.ValidationError, msgspec.DecodeError):
            return msgspec.json.decode(_answer(member.name).read_bytes(), type=Answer)
        if not any(other.name == member.name and other.is_supervised for other in members()):
            raise ServerError("ended while the bundle was replaced", where=member.name)
        time.sleep(_LOOK_SECONDS)
    raise ServerError(f"has not answered in {patience:.0f} s", where=member.name, remedy="`trtnemo status` shows it")


def asked_for(name: str) -> Path | None:
    """Return the bundle that was asked for, once."""
    path = _asked(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    path.unlink(missing_ok=True)
    return Path(text)


def answer(name: str, outcome: Outcome, text: str) -> None:
    """Tell who asked."""
    write_state(_answer(name), msgspec.json.encode(Answer(outcome, text)))


def _asked(name: str) -> Path:
    return directory() / f"{name}.next"


def _answer(name: str) -> Path:
    return directory() / f"{name}.answer"

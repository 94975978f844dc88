"""The engine's process: `python -m trtnemo.runtime.process.worker ENGINE SOCKET`."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from trtnemo.engine import Engine
from trtnemo.errors import TrtnemoError
from trtnemo.files.process import become_child
from trtnemo.recipe.placed import with_placed
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.health import Progress
from trtnemo.runtime.load import load_compiler, load_executor, loop_options
from trtnemo.runtime.messages import EngineLost, Event
from trtnemo.runtime.options import PrefixPlace
from trtnemo.runtime.process.wire import Channel, FromEngine, LoadFailed, Ready

PROGRESS_SECONDS = 0.2


class Outbox:
    """Collects what one step brings, and sends it in one frame, with the counts that it led to."""

    def __init__(self, channel: Channel, progress: Callable[[], Progress]) -> None:
        self._channel = channel
        self._progress = progress
        self._events: list[FromEngine] = []

    def put(self, event: Event | EngineLost) -> None:
        """Take an event; the loop's thread alone calls this."""
        self._events.append(event)

    def flush(self) -> None:
        """Send what was put."""
        if self._events:
            events, self._events = self._events, []
            self._channel.send([*events, self._progress()])


def main(arguments: list[str] | None = None) -> int:
    """Load an engine and run what comes over the socket, until its other end is closed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("socket", type=int)
    parser.add_argument("--interpret", action="store_true")
    parser.add_argument("--placed", type=json.loads, default={})
    parser.add_argument("--prefix-dir", type=Path)
    parser.add_argument("--prefix-bytes", type=int, default=0)
    parser.add_argument("--writing-seconds", type=float, default=0.0)
    chosen = parser.parse_args(arguments)
    become_child("engine")
    channel = Channel(socket.socket(fileno=chosen.socket))
    try:
        return _serve(chosen, channel)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # as `_listen` does, whichever of them sees it first


def _serve(chosen: argparse.Namespace, channel: Channel) -> int:
    place = PrefixPlace(chosen.prefix_dir, chosen.prefix_bytes) if chosen.prefix_dir else None
    try:
        engine = Engine.open(chosen.engine)
        engine.recipe = with_placed(engine.recipe, chosen.placed)
        options = loop_options(engine, place)
        executor = load_executor(engine, interpret=chosen.interpret)
        loop = EngineLoop(executor, options, load_compiler(engine))
    except TrtnemoError as error:
        channel.send([LoadFailed(type(error).__name__, error.what, error.where, error.remedy)])
        return error.exit_code
    outbox = Outbox(channel, loop.progress)
    loop.start(outbox.put, outbox.flush)
    channel.send([Ready(loop.budget, tuple(getattr(executor, "stages", ())))])
    heard = (loop, channel, chosen.writing_seconds)
    listener = threading.Thread(target=_listen, args=heard, name="trtnemo-commands", daemon=True)
    listener.start()
    try:
        while loop.is_running:
            channel.send([loop.progress()])
            loop.join(PROGRESS_SECONDS)
    except (BrokenPipeError, ConnectionResetError):
        listener.join()  # it sees the same, and ends this process when states of prompts are on disk
    return 0 if loop.health.is_up else 1


def _listen(loop: EngineLoop, channel: Channel, writing_seconds: float) -> None:
    try:
        for command in channel.commands():
            loop.send(command)
        channel.hang_up()
        loop.finish_writing(writing_seconds)
    finally:
        os._exit(0)  # nobody is there any more, and a step that never returns must not keep this process


if __name__ == "__main__":
    sys.exit(main())

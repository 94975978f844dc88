"""The process that reads long bodies: `python -m trtnemo.server.reading.worker ENGINE SOCKET`."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import socket
import sys
from pathlib import Path

import msgspec

from trtnemo.engine import Engine
from trtnemo.errors import RequestError
from trtnemo.files.process import become_child
from trtnemo.runtime.process.wire import read_exactly, read_frame, send_frame
from trtnemo.server.prompt.text_side import TextSide, load_text_side
from trtnemo.server.reading.kinds import READS
from trtnemo.server.reading.reading import AskHead, Broken, Refused, Reply

logger = logging.getLogger(__name__)
_MOST_MEMORY = 6 << 30  # of addresses; the largest body that is taken needs less than half
_encode = msgspec.msgpack.Encoder().encode
_heads = msgspec.msgpack.Decoder(AskHead)


def main(arguments: list[str] | None = None) -> int:
    """Load an engine's text side and read what comes over the socket, until its other end is closed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("socket", type=int)
    parser.add_argument("--obeys-control-text", action="store_true")
    chosen = parser.parse_args(arguments)
    become_child("reader")
    os.nice(5)  # a long body waits for the answers that run, and not they for it
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    end = socket.socket(fileno=chosen.socket)
    side = load_text_side(Engine.open(chosen.engine), obeys_control_text=chosen.obeys_control_text)
    try:
        while frame := read_frame(end):
            send_frame(end, _encode(_reply(side, end, _heads.decode(frame))))
    except (BrokenPipeError, ConnectionResetError):
        return 0  # nobody is there any more
    return 0


def _reply(side: TextSide, end: socket.socket, head: AskHead) -> Reply:
    content = bytes(read_exactly(end, head.nbytes))
    earlier = None if head.earlier_nbytes is None else bytes(read_exactly(end, head.earlier_nbytes))
    return reply_to(side, head.kind, content, earlier)


def reply_to(side: TextSide, kind: str, content: bytes, earlier: bytes | None = None) -> Reply:
    """Return what was read, or why it is refused."""
    try:
        return READS[kind](side, content, earlier)
    except RequestError as error:
        return Refused(type(error).__name__, error.what, error.parameter, error.remedy)
    except MemoryError:
        return Refused(RequestError.__name__, "the body takes too much memory to be read", None, None)
    except Exception:
        logger.exception("a body of /%s could not be read", kind)
        return Broken()


if __name__ == "__main__":
    sys.exit(main())

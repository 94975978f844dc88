"""Messages on a socket: a length of four bytes, then a list of messages in MessagePack, written by msgspec."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel

from trtnemo.backends import Budget
from trtnemo.runtime.health import Progress
from trtnemo.runtime.messages import (
    Command,
    EngineLost,
    Event,
)

LENGTH = struct.Struct("<I")


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The engine is loaded and takes commands; `stages` are what that took, with seconds, where they were counted."""

    budget: Budget
    stages: tuple[tuple[str, float], ...] = ()


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The engine could not be loaded; `kind` names the class of the error."""

    kind: str
    what: str
    where: str | None
    remedy: str | None


ToEngine = Command
FromEngine = Event | EngineLost | Progress | Ready | LoadFailed


def _to_plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise NotImplementedError(f"no message holds a {type(value).__name__}")


def _from_plain(kind: type, value: Any) -> Any:
    if issubclass(kind, BaseModel):
        return kind.model_validate(value)
    raise NotImplementedError(f"no message holds a {kind.__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_commands = msgspec.msgpack.Decoder(list[ToEngine], dec_hook=_from_plain)
_events = msgspec.msgpack.Decoder(list[FromEngine], dec_hook=_from_plain)


def frame(messages: Sequence[msgspec.Struct]) -> bytes:
    """Return messages as they stand on the socket."""
    body = _encoder.encode(messages)
    return LENGTH.pack(len(body)) + body


class Unframer:
    """Puts bytes together, whatever pieces they come in, and reads the engine's events."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, data: bytes) -> list[FromEngine]:
        """Return the messages that are whole now."""
        self._held += data
        messages: list[FromEngine] = []
        while len(self._held) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._held)[0]
            if len(self._held) < end:
                break
            messages += _events.decode(memoryview(self._held)[LENGTH.size : end])
            del self._held[:end]
        return messages


class Channel:
    """The engine's end of the socket: blocking, and safe to send on from several threads."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._is_left = False

    def hang_up(self) -> None:
        """Send nothing more: nobody is at the other end."""
        self._is_left = True

    def send(self, messages: Sequence[FromEngine]) -> None:
        """Send messages in one frame."""
        data = frame(messages)
        if self._is_left:
            return
        with self._lock:
            self._end.sendall(data)

    def commands(self) -> Iterator[ToEngine]:
        """Yield commands as they come, until the other end is closed."""
        while body := read_frame(self._end):
            yield from _commands.decode(body)


def send_frame(end: socket.socket, body: bytes) -> None:
    """Send what a frame holds, and its length before it."""
    end.sendall(LENGTH.pack(len(body)))
    end.sendall(body)


def read_frame(end: socket.socket) -> bytes | bytearray:
    """Return what the next frame holds; nothing where the socket ended."""
    head = read_exactly(end, LENGTH.size)
    return read_exactly(end, LENGTH.unpack(head)[0]) if head else head


def read_exactly(end: socket.socket, count: int) -> bytes | bytearray:
    """Return so many bytes; none where the socket ended."""
    data = bytearray(count)
    view, place = memoryview(data), 0
    while place < count:
        got = end.recv_into(view[place:])
        if not got:
            return b""
        place += got
    return data

"""The frontend's end of the process that reads long bodies: started when one comes, ended when none did for a while."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from trtnemo.errors import BusyError, ReaderError, RequestError, TrtnemoError, error_named
from trtnemo.runtime.process.wire import LENGTH
from trtnemo.server.reading.reading import Ask, AskHead, Reading, Refused, Reply

IDLE_SECONDS, MOST_SECONDS, MOST_WAITING = 20.0, 60.0, 8
_encode = msgspec.msgpack.Encoder().encode
_replies = msgspec.msgpack.Decoder(Reply)


class ReaderProcess:
    """Reads bodies one by one in a process of its own, on behalf of one event loop.

    idle_seconds: without a body, until the process ends and gives its memory back; most_seconds: for one body.
    """

    def __init__(
        self,
        engine: Path,
        *,
        obeys_control_text: bool = False,
        idle_seconds: float = IDLE_SECONDS,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._engine = engine
        self._options = ["--obeys-control-text"] if obeys_control_text else []
        self._idle_seconds, self._most_seconds = idle_seconds, most_seconds
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._end_idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def read(self, ask: Ask) -> Reading:
        """Return what a body asks; raises RequestError, BusyError, and ReaderError where it is lost twice."""
        if self._waiting >= MOST_WAITING:
            raise BusyError(f"{self._waiting} long bodies wait to be read already", remedy="Send it again later")
        self._waiting += 1
        try:
            async with self._turn:
                reply = await self._ask(ask)
        finally:
            self._waiting -= 1
        if isinstance(reply, Refused):
            raise _error_of(reply)
        if not isinstance(reply, Reading):
            raise TrtnemoError("the body could not be read; the server's log says more")
        return reply

    async def _ask(self, ask: Ask) -> Reply:
        if self._end_idle is not None:
            self._end_idle.cancel()
        try:
            reply = await asyncio.wait_for(self._read(ask), self._most_seconds)
        except BaseException as error:
            self.close()  # what it was to say would be taken for the next one's
            if isinstance(error, asyncio.TimeoutError):
                raise ReaderError(f"the body could not be read within {self._most_seconds:g} seconds") from None
            if isinstance(error, OSError | EOFError):
                raise ReaderError("the process that reads long bodies was lost", remedy="Send it again") from None
            raise
        self._end_idle = asyncio.get_running_loop().call_later(self._idle_seconds, self.close)
        return reply

    async def _read(self, ask: Ask) -> Reply:
        try:
            return await self._exchange(ask)
        except (OSError, EOFError):
            if self._process is None:  # it was closed meanwhile, or could not be started
                raise
            self.close()  # it may have been ending before this body came, which shows only once it has ended
            return await self._exchange(ask)

    async def _exchange(self, ask: Ask) -> Reply:
        reader, writer = await self._started()
        earlier = None if ask.earlier is None else len(ask.earlier)
        head = _encode(AskHead(ask.kind, sum(map(len, ask.pieces)), earlier))
        for piece in (LENGTH.pack(len(head)), head, *ask.pieces, ask.earlier or b""):
            writer.write(piece)
            await writer.drain()  # now and then others get their turn
        (count,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        return _replies.decode(await reader.readexactly(count))

    async def _started(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it was lost while it had nothing to do
        if self._streams is None:
            ours, theirs = socket.socketpair()
            command = [sys.executable, "-m", "trtnemo.server.reading.worker", str(self._engine), str(theirs.fileno())]
            with theirs:  # on this thread: the process is to die with the one that started it
                self._process = subprocess.Popen(
                    [*command, *self._options], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=2
                )
            self._streams = await asyncio.open_unix_connection(sock=ours)
        return self._streams

    def close(self) -> None:
        """End the process; the next body starts another."""
        if self._end_idle is not None:
            self._end_idle.cancel()
        streams, self._streams = self._streams, None
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            threading.Thread(target=process.wait, daemon=True).start()  # giving back a large memory takes a while
        if streams is not None:
            with suppress(RuntimeError):  # the server's loop is closed
                streams[1].close()


def _error_of(refused: Refused) -> RequestError:
    kind = error_named(refused.kind, RequestError) or RequestError
    return kind(refused.what, parameter=refused.parameter, remedy=refused.remedy)

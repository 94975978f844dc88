"""Ending a server without losing a request, and saying so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn

_LAST_WORDS = 0.3  # seconds, for errors to be written


class DrainingServer(uvicorn.Server):
    """uvicorn, telling when it answers, and ending in three steps.

    The first signal: nothing new is taken, what runs has `drain_seconds`, and `tell` hears how many requests are left.
    Then `cut` ends them with an error that their clients can read. A second signal ends the process at once.
    handshake_seconds: for the beginning of TLS.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        drain_seconds: float,
        cut: Callable[[], None],
        tell: Callable[[str], None],
        handshake_seconds: float = 10.0,
    ) -> None:
        super().__init__(config)
        self._handshake_seconds = handshake_seconds
        self._ready, self._drain_seconds, self._cut, self._tell = ready, drain_seconds, cut, tell
        self.is_draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then report."""
        is_tls = self.config.ssl is not None and sockets is not None
        await super().startup(sockets=[] if is_tls else sockets)
        if is_tls:
            await self._listen_tls(sockets or [])
        if self.started:
            self._ready()

    async def _listen_tls(self, sockets: list[socket.socket]) -> None:
        """Listen as uvicorn does, but not for a minute for a client that says nothing."""
        loop, config = asyncio.get_running_loop(), self.config

        def connection() -> asyncio.Protocol:
            kind = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)
            return kind(config=config, server_state=self.server_state, app_state=self.lifespan.state)

        for listener in sockets:
            bounds: dict[str, Any] = {"ssl_handshake_timeout": self._handshake_seconds}
            if hasattr(asyncio, "timeout") or not isinstance(loop, asyncio.BaseEventLoop):  # 3.11, or uvloop
                bounds["ssl_shutdown_timeout"] = _LAST_WORDS  # an idle client does not answer the end
            made = loop.create_server(connection, sock=listener, ssl=config.ssl, backlog=config.backlog, **bounds)
            self.servers.append(await made)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; the second time, end."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for what runs, cut it when its time is over, and return."""
        self.is_draining = True
        running = len(self.server_state.tasks)
        if running:
            what = f"{running} request{'s' if running > 1 else ''} still running"
            self._tell(f"Stopping: {what}, for {self._drain_seconds:g} seconds at most. A second signal stops at once.")
        timer = asyncio.get_running_loop().call_later(self._drain_seconds, self._cut)
        try:
            await super().shutdown(sockets=sockets)
        finally:
            timer.cancel()
        if self.force_exit:
            self._cut()
            await asyncio.sleep(_LAST_WORDS)
            await self.lifespan.shutdown()  # uvicorn leaves it out, and reports that it was then cancelled

"""Ending a server without losing a request, and saying so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

_LAST_WORDS = 0.3  # seconds, for errors to be written


class DrainingServer(uvicorn.Server):
    """uvicorn, telling when it answers, and ending in three steps.

    The first signal: nothing new is taken, what runs has `drain_seconds`, and `tell` hears how many requests are left.
    Then `cut` ends them with an error that their clients can read. A second signal ends the process at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        drain_seconds: float,
        cut: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._ready, self._drain_seconds, self._cut, self._tell = ready, drain_seconds, cut, tell
        self.is_draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then report."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

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

"""How a running server is watched: what it can bear to be asked, and what counts as lost."""

from __future__ import annotations

from dataclasses import dataclass

WITHOUT_A_LIMIT = 120.0  # seconds without progress, where the server itself has no limit


@dataclass(frozen=True)
class Watch:
    """One server's. All times are in seconds.

    health_seconds: between two questions; health_patience: for one answer. refused_seconds: of 503, errors or silence,
    until the server is lost. own_stall_seconds: after which it ends itself when it stands still, `stall_needs_peers`
    only where several GPUs work together. metrics: where Prometheus' text is, None where there is none; `running` and
    `steps` are the gauge and the counters in it that show progress, any of them. drain_seconds: that running requests
    have after SIGTERM.
    """

    health_seconds: float = 5.0
    health_patience: float = 10.0
    refused_seconds: float = 30.0
    own_stall_seconds: float | None = None
    stall_needs_peers: bool = True
    metrics: str | None = "/metrics"
    running: str = ""
    steps: tuple[str, ...] = ()
    drain_seconds: float = 60.0

    def stall_seconds(self, gpus: int) -> float:
        """Return the time without progress after which a server on so many GPUs is lost.

        Where it ends itself, a little later than that: what it writes then tells more than we could.
        """
        ends_itself = self.own_stall_seconds is not None and (gpus > 1 or not self.stall_needs_peers)
        return (self.own_stall_seconds or 0.0) + 15.0 if ends_itself else WITHOUT_A_LIMIT

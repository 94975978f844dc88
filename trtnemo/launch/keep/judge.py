"""From what was seen of a running server to whether it is lost."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.launch.keep.failure import Failure
from trtnemo.launch.servers.watch import WITHOUT_A_LIMIT, Watch

MUTE_ASKS = 2  # questions without a token, one after the other; one that waited for long is enough

RECENT = 10.0  # seconds: steps as new as this mean that others are answered


@dataclass(frozen=True)
class Counters:
    """What a server's metrics said: requests that run, and the sum of what counts its steps."""

    running: float
    steps: float


class Judge:
    """Remembers what was seen of one life of a server; all times are of one clock.

    A server that makes progress is well, whatever else it answers: a busy one refuses health, and our own token waits
    behind others.
    """

    def __init__(self, watch: Watch, gpus: int, now: float) -> None:
        self._watch, self._stall = watch, watch.stall_seconds(gpus)
        self._refused_since: float | None = None
        self._refusal = ""
        self._counters: Counters | None = None
        self._stepped = now  # when a step, or a token of ours, was last seen
        self._idle = now  # when no request was last seen to run
        self._mute = 0
        self._mute_text = ""

    @property
    def is_busy(self) -> bool:
        """Whether requests run, as far as the server says."""
        return self._counters is not None and self._counters.running > 0

    def saw_health(self, now: float, refusal: str | None) -> None:
        """Take an answer of health; `refusal` says what it was where it was not 200."""
        if refusal is None:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        self._refusal = refusal or ""

    def saw_counters(self, now: float, counters: Counters | None) -> None:
        """Take what the metrics said, None where they said nothing."""
        if counters is None:
            return
        if self._counters is not None and counters.steps != self._counters.steps:
            self._stepped, self._mute = now, 0
        if not counters.running or self._counters is None:
            self._idle = now
        self._counters = counters

    def saw_token(self, now: float, failure: str | None, waited: float = 0.0) -> None:
        """Take what a question of ours got; `failure` says why it got nothing, after `waited` seconds."""
        if failure is None:
            self._stepped, self._mute = now, 0
        elif now - self._stepped >= max(waited, RECENT):
            self._mute += MUTE_ASKS if waited >= WITHOUT_A_LIMIT else 1
            self._mute_text = failure

    def was_turned_away(self, now: float) -> None:
        """Take a question that was told to come again: that is nothing, until nobody has got anything for too long."""
        if now - self._stepped >= WITHOUT_A_LIMIT:
            self._mute += MUTE_ASKS
            self._mute_text = f"it is told to come again, and nothing moved for {now - self._stepped:.0f} s"

    def failure(self, now: float) -> Failure | None:
        """Return why the server is lost, or None."""
        still = now - max(self._stepped, self._idle)
        if self.is_busy and self._counters is not None and still > self._stall:
            count = self._counters.running
            running = "1 request runs" if count == 1 else f"{count:g} requests run"
            return Failure("stalled", f"{running}, and no step was counted for {still:.0f} s")
        refused = 0.0 if self._refused_since is None else now - self._refused_since
        if refused > self._watch.refused_seconds and (not self.is_busy or still > self._watch.refused_seconds):
            return Failure("refused", f"health has said {self._refusal} for {refused:.0f} s")
        if self._mute >= MUTE_ASKS:
            return Failure("mute", f"health is open, and a question got no token: {self._mute_text}")
        return None

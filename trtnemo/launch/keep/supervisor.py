"""One server kept serving: started, watched, ended whole when it is lost, and started again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from trtnemo.errors import ServerError
from trtnemo.launch.bundle.supervise import ServerDiedError, SupervisedServer
from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.events import Events
from trtnemo.launch.keep.failure import Failure
from trtnemo.launch.keep.restarts import Decision, Restarts
from trtnemo.launch.keep.watcher import Watcher

TICK = 0.5
LOST_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """Where a server answers, under which name, and the seconds that a start may take."""

    url: str
    model: str
    start_seconds: float
    health: str = "/health"


class Supervisor:
    """Runs until it is told to stop, or gives up; then raises ServerError.

    `start` begins one life of the server, `watcher` makes what watches it.
    """

    def __init__(
        self,
        start: Callable[[], SupervisedServer],
        watcher: Callable[[], Watcher],
        place: Place,
        restarts: Restarts,
        events: Events,
        clock: Clock,
        note: Callable[[str, int | None, int], None] = lambda state, pid, restarts: None,
    ) -> None:
        """`note` hears each new state, the server's process, and how often it was started again."""
        self._note = note
        self._start, self._watcher, self._place = start, watcher, place
        self._restarts, self._events, self._clock = restarts, events, clock
        self._stop = threading.Event()
        self._life: SupervisedServer | None = None

    def stop(self) -> None:
        """End: the server gets its time to finish what runs. The second time it is killed."""
        is_second, life = self._stop.is_set(), self._life
        self._stop.set()
        if life is not None:
            life.kill() if is_second else life.ask_to_stop()

    def run(self) -> None:
        """Keep it serving."""
        while not self._stop.is_set():
            error, decision = self._live()
            if self._stop.is_set():
                return
            if not decision.restarts:
                self._events.tell("gave up", f"giving up: {decision.why}", why=decision.why)
                raise error
            self._events.tell("restart", f"starting again in {decision.delay:.0f} s: {decision.why}", why=decision.why)
            if self._clock.wait(decision.delay or 0.0, self._stop):
                return

    def _live(self) -> tuple[ServerError, Decision]:
        """Run one life to its end; return how it ended, and what is to be done."""
        place, since = self._place, None
        self._events.tell("start", f"starting {place.model} at {place.url}", restarts=self._restarts.count)
        life = self._life = self._start()
        self._tell_state("starting", life)
        try:
            life.wait_until_ready(place.url, place.model, self._clock.real(place.start_seconds), place.health)
            since = self._clock.now()
            self._tell_state("serving", life)
            self._events.tell("serving", f"Serving {place.model} at {place.url}", pid=life.pid)
            error = self._watch(life)
        except ServerDiedError as died:
            error = died
        finally:
            self._tell_state("ending", life)
            # one that is lost is not waited for: what it runs will not end
            life.stop(None if self._stop.is_set() else self._clock.real(LOST_SECONDS))
            self._tell_state("waiting", None)
        if self._stop.is_set():
            self._events.tell("stopped", f"{place.model} has stopped")
            return error, Decision(None, "it was asked to")
        served = None if since is None else self._clock.now() - since
        issue = error.issue.name if error.issue is not None else None
        self._events.tell("lost", f"lost: {error}", kind=error.kind, code=life.code, issue=issue, log=error.log)
        return error, self._restarts.after(served_seconds=served, code=life.code, has_remedy=error.issue is not None)

    def _tell_state(self, state: str, life: SupervisedServer | None) -> None:
        self._note(state, None if life is None else life.pid, self._restarts.count)

    def _watch(self, life: SupervisedServer) -> ServerDiedError:
        """Return why a running server is lost, once it is, or once it was asked to end."""
        watcher = self._watcher()
        try:
            while not self._clock.wait(TICK, life.over):
                watcher.step()
                for drift in watcher.drifts():
                    self._events.tell("drift", f"odd answer: {drift}")
                failure = watcher.failure()
                if failure is not None and not self._stop.is_set():
                    return life.died(failure)
            return life.died(Failure("ended", f"ended by itself with exit code {life.code}"))
        finally:
            watcher.close()

"""One server kept serving: started, watched, ended whole when it is lost, and started again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from trtnemo.errors import ServerError
from trtnemo.launch.bundle.supervise import ServerDiedError, SupervisedServer
from trtnemo.launch.keep.clock import Clock
from trtnemo.launch.keep.failure import Failure
from trtnemo.launch.keep.machine.start_times import StartTimes
from trtnemo.launch.keep.place import Place
from trtnemo.launch.keep.restarts import Restarts
from trtnemo.launch.keep.told.events import Events
from trtnemo.launch.keep.watcher import Watcher

TICK = 0.5
LOST_SECONDS = 10.0


@dataclass(frozen=True)
class Charge:
    """What is kept serving: how one life begins and is watched, where it answers, and what its starts took before.

    well: returns what is wrong with a server that serves, or None; asked of one that takes another's place.
    """

    start: Callable[[], SupervisedServer]
    watcher: Callable[[], Watcher]
    place: Place
    times: StartTimes | None = None
    well: Callable[[], str | None] = lambda: None


class Supervisor:
    """Runs until it is told to stop, or gives up; then raises ServerError.

    `note` hears each new state, the server's process, and how often it was started again; `evidence` says what else is
    to be told of a loss.
    """

    def __init__(
        self,
        charge: Charge,
        restarts: Restarts,
        events: Events,
        clock: Clock,
        note: Callable[[str, int | None, int], None] = lambda state, pid, restarts: None,
        evidence: Callable[[], list[str]] = list,
    ) -> None:
        self._charge, self._restarts, self._events, self._clock = charge, restarts, events, clock
        self._note, self._evidence = note, evidence
        self._stop = threading.Event()
        self._wake = threading.Event()  # it is to stop, or another is to take the place
        self._life: SupervisedServer | None = None
        self._next: _Trial | None = None  # what is to take the place
        self._trial: _Trial | None = None  # what has it, and is not known to be well

    @property
    def pid(self) -> int | None:
        """The server's first process, None before the first start."""
        return None if self._life is None else self._life.pid

    def stop(self) -> None:
        """End: the server gets its time to finish what runs. The second time it is killed."""
        is_second, life = self._stop.is_set(), self._life
        self._stop.set()
        self._wake.set()
        if life is not None:
            life.kill() if is_second else life.ask_to_stop()

    def replace(self, charge: Charge, done: Callable[[str | None], None]) -> bool:
        """Put another charge in the place of this one: drain, start, ask; what is not well gives the place back.

        `done` hears why it did not take the place, or None. Returns False, and does nothing, where another is being
        tried.
        """
        if self._next is not None or self._trial is not None:
            return False
        self._next = _Trial(charge, done)
        self._wake.set()
        return True

    def run(self) -> None:
        """Keep it serving."""
        while not self._stop.is_set():
            ending = self._live()
            if self._stop.is_set():
                self._events.tell("stopped", f"{self._charge.place.model} has stopped")
            elif self._next is not None:
                self._begin_trial(self._next)
            elif self._trial is not None:
                self._give_back(self._trial, str(ending.error))
            else:
                self._start_again(ending)

    def _begin_trial(self, trial: _Trial) -> None:
        self._next, self._trial = None, replace(trial, before=self._charge)
        if not self._stop.is_set():
            self._wake.clear()
        self._charge = trial.charge

    def _give_back(self, trial: _Trial, why: str) -> None:
        self._trial = None
        self._charge = trial.before or self._charge
        self._events.tell("rolled back", f"the other bundle does not serve, the one before is started again: {why}")
        trial.done(why)

    def _start_again(self, ending: _Ending) -> None:
        """Wait as long as is right before the next start; raises where there is none."""
        error = ending.error
        decision = self._restarts.after(
            served_seconds=ending.served, code=ending.code, has_remedy=error.issue is not None
        )
        if not decision.restarts:
            self._events.tell("gave up", f"giving up: {decision.why}", why=decision.why)
            raise error
        self._events.tell("restart", f"starting again in {decision.delay:.0f} s: {decision.why}", why=decision.why)
        if self._clock.wait(decision.delay or 0.0, self._wake) and self._next is not None:
            self._begin_trial(self._next)

    def _live(self) -> _Ending:
        """Run one life to its end; return how it ended."""
        charge, since = self._charge, None
        place, times = charge.place, charge.times
        expected = times.sentence if times is not None else ""
        self._events.tell("start", f"starting {place.model} at {place.url}{expected}", restarts=self._restarts.count)
        try:
            life = self._life = charge.start()
        except ServerError as refused:  # there is no program of that name any more, or no memory for a process
            died = ServerDiedError(refused.render(), "", None, "start")
            self._tell_loss(died, None)
            return _Ending(died, None, None)
        if self._stop.is_set():  # the signal came while it was made, and reached the one before
            life.ask_to_stop()
        self._tell_state("starting", life)
        try:
            self._wait_for(life)
            since = self._clock.now()
            error = self._watch(life)
        except ServerDiedError as died:
            error = died
        finally:
            self._tell_state("ending", life)
            # one that is lost is not waited for: what it runs will not end
            is_asked = self._stop.is_set() or self._next is not None
            life.stop(None if is_asked else self._clock.real(LOST_SECONDS))
            self._tell_state("waiting", None)
        if not is_asked:
            self._tell_loss(error, life.code)
        return _Ending(error, life.code, None if since is None else self._clock.now() - since)

    def _wait_for(self, life: SupervisedServer) -> None:
        """Return when a life serves, and well where it has another's place; raises ServerDiedError."""
        charge = self._charge
        place, times, scale = charge.place, charge.times, self._clock.real
        budget = (lambda stage: None) if times is None else times.budget
        life.wait_until_ready(place.url, place.model, scale(place.start_seconds), place.health, budget, place.headers)
        if times is not None:
            times.note(life.start_seconds, life.stage_seconds)
        trial = self._trial
        problem = None if trial is None else charge.well()
        if problem is not None:
            raise life.died(Failure("mute", f"its first answer is not right: {problem}"))
        self._tell_state("serving", life)
        self._events.tell("serving", f"Serving {place.model} at {place.url}", pid=life.pid)
        if trial is not None:
            self._trial = None
            self._events.tell("replaced", f"{place.model} has taken the place of the bundle before")
            trial.done(None)

    def _tell_loss(self, error: ServerDiedError, code: int | None) -> None:
        issue = error.issue.name if error.issue is not None else None
        gpus = self._evidence()
        text = f"lost: {error}{''.join(f'; {line}' for line in gpus)}"
        self._events.tell("lost", text, kind=error.kind, code=code, issue=issue, log=error.log, gpus=gpus)

    def _tell_state(self, state: str, life: SupervisedServer | None) -> None:
        self._note(state, None if life is None else life.pid, self._restarts.count)

    def _watch(self, life: SupervisedServer) -> ServerDiedError:
        """Return why a running server is lost, once it is, or once it was asked to end."""
        watcher = self._charge.watcher()
        try:
            while not self._clock.wait(TICK, life.over):
                if self._next is not None:
                    return life.died(Failure("ended", "another bundle takes its place"))
                watcher.step()
                for drift in watcher.drifts():
                    self._events.tell("drift", f"odd answer: {drift}")
                failure = watcher.failure()
                if failure is not None and not self._stop.is_set():
                    return life.died(failure)
            return life.died(Failure("ended", f"ended by itself with exit code {life.code}"))
        finally:
            watcher.close()


@dataclass(frozen=True)
class _Trial:
    """A charge that is to take another's place, who hears what becomes of it, and whose place it is."""

    charge: Charge
    done: Callable[[str | None], None]
    before: Charge | None = None


@dataclass(frozen=True)
class _Ending:
    """How a life ended: why, its exit code, and how long it served, None for one that never gave a token."""

    error: ServerDiedError
    code: int | None
    served: float | None

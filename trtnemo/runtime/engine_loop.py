"""The engine loop: one thread that owns the executor and talks in messages only."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from trtnemo.backends import Drawer, Executor
from trtnemo.errors import ConstraintError, DeviceLostError
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.guide.thread import CompilingThread
from trtnemo.runtime.health import UP, Health, Progress
from trtnemo.runtime.messages import (
    Abort,
    Command,
    Compile,
    Compiled,
    EngineLost,
    Event,
    Failed,
    LoopStatistics,
    PromptReused,
    Shutdown,
    Started,
    Submit,
)
from trtnemo.runtime.options import LoopOptions
from trtnemo.runtime.prefixes.disk import open_disk
from trtnemo.runtime.scheduling.draft_length import DraftLength
from trtnemo.runtime.scheduling.residency import Residency
from trtnemo.runtime.scheduling.scheduler import ScheduledStep, Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence
from trtnemo.runtime.scheduling.speculation import draft_segment, write_drafts
from trtnemo.runtime.scheduling.step_outcome import StepOutcome

logger = logging.getLogger(__name__)
# Most seconds that a loop which ends waits for states on their way to disk.
_WRITING_SECONDS = 30.0


class EngineLoop:
    """Runs sequences until it is shut down; a line (`line.py`) to a frontend of this process."""

    def __init__(
        self, executor: Executor, options: LoopOptions | None = None, compiler: GrammarCompiler | None = None
    ) -> None:
        options = options or LoopOptions()
        self._compiling = CompilingThread(compiler, self.send)
        self.budget = executor.budget
        self._executor = executor
        self._emit: Callable[[Event | EngineLost], None] = _drop_event
        self._flush: Callable[[], None] = _nothing
        self._drawer = executor if isinstance(executor, Drawer) else None
        self._scheduler = Scheduler(executor.budget, options.draft_tokens, draws=self._drawer is not None)
        self._commands: queue.SimpleQueue[Command | Compiled | None] = queue.SimpleQueue()
        self._disk = open_disk(executor, options.prefix_place, lambda: self._commands.put(None))
        self._residency = Residency(executor, self._scheduler, options.prefix_bytes, self._disk)
        self._draft_length = DraftLength(self._scheduler.draft_tokens) if options.adapts_drafts else None
        # On a CPU a round costs what this thread computes: what it waits for others (a server in the same process, a
        # client on the same cores) would come again with the tokens of any round.
        self._clock = time.thread_time if executor.computes_here else time.perf_counter
        self._round_started = 0.0
        self._draining = False
        self._stopped = False
        self._step_began: float | None = None
        self._pages = (0, 0)
        self._failed_steps = 0
        self._failure: str | None = None
        self._counts: Counter[str] = Counter()
        self._outcome = StepOutcome(executor, self._scheduler, self._residency, self._counts, self._report)
        self._thread = threading.Thread(target=self._run, name="trtnemo-engine", daemon=True)

    @property
    def statistics(self) -> LoopStatistics:
        """What has been done so far, and what runs now; any thread may ask."""
        scheduler = self._scheduler
        prefixes, pages = self._residency.prefixes, self._pages
        return LoopStatistics(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            kv_pages=pages[0],
            kv_pages_used=pages[1],
            prefix_entries=len(prefixes),
            prefix_bytes=prefixes.held_bytes,
            prefix_queries=self._residency.queries,
            prefix_hits=self._residency.hits,
            prefix_disk_hits=self._disk.hits if self._disk else 0,
            preemptions=self._residency.preemptions,
            drafted_at=tuple(self._outcome.drafted_at),
            accepted_at=tuple(self._outcome.accepted_at),
            **self._counts,
        )

    @property
    def health(self) -> Health:
        """Whether sequences are run; any thread may ask."""
        return UP if self._failure is None else Health(False, self._failure)

    @property
    def is_running(self) -> bool:
        """Whether the loop's thread lives."""
        return self._thread.is_alive()

    def progress(self) -> Progress:
        """Return what the loop does at this moment; any thread may ask."""
        began = self._step_began
        busy = 0.0 if began is None else time.monotonic() - began
        return Progress(self.statistics, busy, self._failed_steps, self._failure)

    def start(self, emit: Callable[[Event | EngineLost], None], flush: Callable[[], None] | None = None) -> None:
        """Start the loop's thread, on which `emit` receives every event, and `flush` is called after each step."""
        self._emit, self._flush = emit, flush or _nothing
        self._thread.start()

    def send(self, command: Command | Compiled) -> None:
        """Hand a command to the loop."""
        self._commands.put(command)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the loop to end."""
        self._thread.join(timeout)

    def close(self, drain: bool = False) -> None:
        """Shut the loop down, at once or when all sequences have ended, and wait for it."""
        self.send(Shutdown(drain))
        self.join(timeout=60)

    def finish_writing(self, seconds: float) -> None:
        """Wait until states that go to disk are there, or the time is over; any thread may."""
        if self._disk is not None:
            self._disk.finish(seconds)

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._run_round()
            self._compiling.stop()
            if self._disk is not None:
                self._disk.close(_WRITING_SECONDS)
                self._pages = self._residency.pages
        except BaseException as error:  # nothing may end this thread in silence: whoever waits would wait for ever
            logger.exception("the engine loop ended")
            self._failure = f"the engine loop ended: {type(error).__name__}: {error}"
            self._emit(EngineLost(self._failure))
            self._flush()

    def _run_round(self) -> None:
        self._take_commands()
        if self._disk is not None:
            self._disk.poll()
        self._step_began = None if self._scheduler.is_idle else time.monotonic()
        step = None if self._stopped else self._try_next_step()
        if step is not None:
            self._run_step(step)
        self._step_began = None
        self._pages = self._residency.pages
        if self._draining and self._scheduler.is_idle:
            self._stopped = True
        self._flush()

    def _report(self, event: Event | EngineLost) -> None:
        self._emit(event)

    def _take_commands(self) -> None:
        """Handle what has arrived; wait for a command when there is nothing else to do."""
        is_waiting = self._scheduler.is_idle and not self._draining
        while True:
            try:
                command = self._commands.get(block=is_waiting)
            except queue.Empty:
                return
            is_waiting = False
            self._handle(command)

    def _handle(self, command: Command | Compiled | None) -> None:
        if isinstance(command, Submit):
            self._submit(command)
        elif isinstance(command, Abort):
            self._outcome.end(command.request_id, "abort")
        elif isinstance(command, Compile):
            self._compiling.put(command)
        elif isinstance(command, Compiled):
            self._emit(command)
        elif isinstance(command, Shutdown):
            self._draining = True
            if not command.drain:
                for request_id in [*self._scheduler.running, *(item.id for item in self._scheduler.waiting)]:
                    self._outcome.end(request_id, "abort")

    def _submit(self, request: Submit) -> None:
        if self._draining:
            self._emit(Failed(request.request_id, "the server is shutting down"))
            return
        room = self._executor.budget.max_seq_len - len(request.prompt)
        limit = room if request.params.max_tokens is None else min(room, request.params.max_tokens)
        try:
            guide = None if request.grammar is None else self._compiling.guide(request.grammar)
        except ConstraintError as error:
            self._emit(Failed(request.request_id, str(error)))
            return
        self._scheduler.add(Sequence(request, limit, guide=guide))

    def _try_next_step(self) -> ScheduledStep | None:
        try:
            return self._next_step()
        except Exception as error:  # whatever breaks giving out states must not end the loop
            self._failed_steps += 1
            self._fail([*self._scheduler.running.values()], error)
            return None

    def _fail(self, sequences: Iterable[Sequence], error: Exception) -> None:
        """End sequences that broke; raises the error where this process can run no other step."""
        for sequence in sequences:
            self._outcome.fail(sequence, error)
        if isinstance(error, DeviceLostError):
            raise error  # whoever watches this process starts another

    def _next_step(self) -> ScheduledStep | None:
        reused = self._residency.admit()
        started = self._residency.take_started()
        for request_id in started:
            self._emit(Started(request_id))
        if started:
            self._flush()  # not with the step's results: they are told apart by when they come
        for sequence in reused:
            self._emit(PromptReused(sequence.id, sequence.cached))
            self._counts["cached_tokens"] += sequence.cached
        self._round_started = self._clock()
        self._write_drafts()
        while (step := self._scheduler.next_step()) is not None:
            if not self._residency.make_room(step.batch.segments):
                return step
        return None

    def _write_drafts(self) -> None:
        most, count = None, len(self._scheduler.decoding())
        if self._draft_length and count:
            most = self._draft_length.choose(count, self._scheduler.room_for_drafts(count))
            if most == 0:
                return
        plan = self._scheduler.plan_drafts(most)
        while plan and self._residency.make_room([draft_segment(sequence, count) for sequence, count in plan]):
            plan = self._scheduler.plan_drafts(most)
        try:
            write_drafts(self._executor, self._drawer, plan)
        except Exception as error:  # whatever breaks the draft head must not end the loop
            self._fail([sequence for sequence, _ in plan], error)

    def _run_step(self, step: ScheduledStep) -> None:
        began = time.perf_counter()
        try:
            result = self._executor.forward(step.batch)
        except Exception as error:  # whatever breaks a step must not end the loop
            self._failed_steps += 1
            self._fail(step.sequences, error)
            return
        self._failed_steps = 0
        self._scheduler.prompt_share.record(step.prompt_tokens, time.perf_counter() - began)
        self._learn(step, self._outcome.take(step, result))

    def _learn(self, step: ScheduledStep, passed: list[int]) -> None:
        """Tell the draft policy of a round that decoded and nothing else, all sequences with the same drafts."""
        if self._draft_length is None:
            return
        lengths = {segment.length for segment in step.batch.segments}
        is_decoding = all(sequence.generated for sequence in step.sequences)
        if len(lengths) == 1 and is_decoding and (passed or lengths == {1}):
            accepted = passed or [0] * len(step.sequences)
            self._draft_length.record(lengths.pop() - 1, accepted, self._clock() - self._round_started)


def _drop_event(event: Event | EngineLost) -> None:
    """Stand in for a frontend before the loop has one."""


def _nothing() -> None:
    """Stand in where nobody collects events."""

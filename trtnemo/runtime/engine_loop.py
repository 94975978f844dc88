"""The engine loop: one thread that owns the executor and talks in messages only."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable

from trtnemo.backends import Executor
from trtnemo.errors import TrtnemoError
from trtnemo.runtime.draft_length import DraftLength
from trtnemo.runtime.messages import (
    Abort,
    Command,
    Event,
    Failed,
    Finished,
    FinishReason,
    LoopStatistics,
    PromptReused,
    PromptScored,
    Shutdown,
    Submit,
    TokenGenerated,
)
from trtnemo.runtime.options import LoopOptions
from trtnemo.runtime.residency import Residency
from trtnemo.runtime.sampler import Float32, token_logprob
from trtnemo.runtime.scheduler import CHUNK_UNIT, ScheduledStep, Scheduler
from trtnemo.runtime.sequence import Sequence
from trtnemo.runtime.speculation import draft_segment, write_drafts

logger = logging.getLogger(__name__)


class EngineLoop:
    """Runs sequences until it is shut down; `emit` receives every event, on the loop's thread."""

    def __init__(self, executor: Executor, emit: Callable[[Event], None], options: LoopOptions) -> None:
        self._executor = executor
        self._emit = emit
        self._scheduler = Scheduler(executor.budget, options.draft_tokens)
        self._residency = Residency(executor, self._scheduler, options.prefix_bytes)
        self._draft_length = DraftLength(self._scheduler.draft_tokens) if options.adapts_drafts else None
        # On a CPU a round costs what this thread computes: what it waits for others (a server in the same process, a
        # client on the same cores) would come again with the tokens of any round.
        self._clock = time.thread_time if executor.computes_here else time.perf_counter
        self._round_started = 0.0
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._draining = False
        self._stopped = False
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="trtnemo-engine", daemon=True)

    @property
    def statistics(self) -> LoopStatistics:
        """What has been done so far, and what runs now; any thread may ask."""
        scheduler = self._scheduler
        return LoopStatistics(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            preemptions=self._residency.preemptions,
            **self._counts,
        )

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def send(self, command: Command) -> None:
        """Hand a command to the loop."""
        self._commands.put(command)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the loop to end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped:
            self._take_commands()
            step = None if self._stopped else self._try_next_step()
            if step is not None:
                self._run_step(step)
            if self._draining and self._scheduler.is_idle:
                self._stopped = True

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

    def _handle(self, command: Command) -> None:
        if isinstance(command, Submit):
            self._submit(command)
        elif isinstance(command, Abort):
            self._end(command.request_id, "abort")
        elif isinstance(command, Shutdown):
            self._draining = True
            if not command.drain:
                for request_id in [*self._scheduler.running, *(item.id for item in self._scheduler.waiting)]:
                    self._end(request_id, "abort")

    def _submit(self, request: Submit) -> None:
        if self._draining:
            self._emit(Failed(request.request_id, "the server is shutting down"))
            return
        room = self._executor.budget.max_seq_len - len(request.prompt)
        limit = room if request.params.max_tokens is None else min(room, request.params.max_tokens)
        self._scheduler.add(Sequence(request, limit))

    def _try_next_step(self) -> ScheduledStep | None:
        try:
            return self._next_step()
        except Exception as error:  # whatever breaks giving out states must not end the loop
            for sequence in [*self._scheduler.running.values()]:
                self._fail(sequence, error)
            return None

    def _next_step(self) -> ScheduledStep | None:
        for sequence in self._residency.admit():
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
            write_drafts(self._executor, plan)
        except Exception as error:  # whatever breaks the draft head must not end the loop
            for sequence, _ in plan:
                self._fail(sequence, error)

    def _run_step(self, step: ScheduledStep) -> None:
        try:
            result = self._executor.forward(step.batch)
        except Exception as error:  # whatever breaks a step must not end the loop
            for sequence in step.sequences:
                self._fail(sequence, error)
            return
        row, passed = 0, []
        for segment, sequence, count in zip(step.batch.segments, step.sequences, step.logit_counts, strict=True):
            try:
                logits = result.logits[row : row + count]
                if segment.speculative:
                    passed.append(self._verify(sequence, logits))
                else:
                    self._advance(sequence, segment.length, logits)
            except Exception as error:  # a sequence that cannot be sampled must not end the others
                self._fail(sequence, error)
            row += count
        self._learn(step, passed)
        self._counts["steps"] += 1

    def _learn(self, step: ScheduledStep, passed: list[int]) -> None:
        """Tell the draft policy of a round that decoded and nothing else, all sequences with the same drafts."""
        if self._draft_length is None:
            return
        lengths = {segment.length for segment in step.batch.segments}
        is_decoding = all(sequence.generated for sequence in step.sequences)
        if len(lengths) == 1 and is_decoding and (passed or lengths == {1}):
            accepted = passed or [0] * len(step.sequences)
            self._draft_length.record(lengths.pop() - 1, accepted, self._clock() - self._round_started)

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        logger.error("sequence %s failed: %s", sequence.id, error, exc_info=not isinstance(error, TrtnemoError))
        self._drop(sequence.id)
        self._emit(Failed(sequence.id, f"the engine failed: {error}"))

    def _advance(self, sequence: Sequence, length: int, logits: Float32) -> None:
        """Count a segment in; score its prompt tokens, and sample when it reached the last known token."""
        was_prompt = not sequence.is_decoding
        if was_prompt:
            self._score_prompt(sequence, length, logits)
            self._counts["prompt_tokens"] += length
        sequence.position += length
        if was_prompt:
            self._keep_prefix(sequence)
        if sequence.uncomputed:
            return
        if was_prompt and sequence.wants_prompt_logits:
            self._emit(PromptScored(sequence.id, tuple(sequence.prompt_logprobs)))
        if sequence.token_limit == 0:
            self._end(sequence.id, "length")
        else:
            self._sample(sequence, logits[-1])

    def _score_prompt(self, sequence: Sequence, length: int, logits: Float32) -> None:
        wanted = sequence.request.params.prompt_logprobs
        if wanted is None:
            return
        if sequence.position == 0:
            sequence.prompt_logprobs.append(None)
        following = sequence.request.prompt[sequence.position + 1 : sequence.position + length + 1]
        for row, token_id in zip(logits, following, strict=False):
            sequence.prompt_logprobs.append(token_logprob(row, token_id, wanted))

    def _verify(self, sequence: Sequence, logits: Float32) -> int:
        """Take what the target makes of the drafts: all that agree with it, and the one token that it adds.

        Returns how many drafts passed.
        """
        drafts, sequence.drafts = sequence.drafts, []
        accepted = 0
        for number, row in enumerate(logits):
            draft = drafts[number] if number < len(drafts) else None
            is_accepted, has_ended = self._sample(sequence, row, draft, 0 if number else len(drafts))
            accepted += is_accepted
            if has_ended or not is_accepted:
                break
        self._counts.update(verifications=1, drafted_tokens=len(drafts), accepted_tokens=accepted)
        if not has_ended:
            self._executor.commit(sequence.slot, 1 + accepted)
            sequence.position += 1 + accepted
        return accepted

    def _sample(
        self, sequence: Sequence, logits: Float32, draft: int | None = None, drafted: int = 0
    ) -> tuple[bool, bool]:
        """Append a token and report it; return whether it is the draft, and whether the sequence has ended."""
        token_id = sequence.append_next(logits)
        wanted = sequence.request.params.logprobs
        logprob = None if wanted is None else token_logprob(logits, token_id, wanted)
        is_accepted = token_id == draft
        self._emit(TokenGenerated(sequence.id, token_id, logprob, drafted, is_accepted))
        self._counts["generated_tokens"] += 1
        reason = sequence.finish_reason(token_id)
        if reason:
            self._end(sequence.id, reason)
        return is_accepted, reason is not None

    def _end(self, request_id: str, reason: FinishReason) -> None:
        sequence = self._scheduler.running.get(request_id)
        if sequence is not None and reason != "abort" and not sequence.drafts:
            self._keep(sequence)
        if self._drop(request_id):
            self._emit(Finished(request_id, reason))

    def _drop(self, request_id: str) -> bool:
        sequence = self._scheduler.remove(request_id)
        if sequence is not None and sequence.slot >= 0:
            self._executor.release(sequence.slot)
        return sequence is not None

    def _keep_prefix(self, sequence: Sequence) -> None:
        """Keep a prompt's state after its last finished turn, and where other prompts are cut as well."""
        if sequence.position == sequence.request.kept_end:
            self._keep(sequence)
        elif sequence.uncomputed and sequence.position % CHUNK_UNIT == 0:
            self._keep(sequence, on_trial=True)

    def _keep(self, sequence: Sequence, *, on_trial: bool = False) -> None:
        try:
            self._residency.keep(sequence, on_trial=on_trial)
        except Exception:  # a state that cannot be kept is only run again
            logger.exception("the state of sequence %s was not kept", sequence.id)

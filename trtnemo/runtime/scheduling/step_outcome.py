"""What a step brings its sequences: scored prompts, sampled and verified tokens, ends."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from trtnemo.backends import Executor, Row, StepResult
from trtnemo.errors import EngineError, TrtnemoError
from trtnemo.runtime.messages import EngineLost, Event, Failed, Finished, FinishReason, PromptScored, TokenGenerated
from trtnemo.runtime.sampler import Float32, token_logprob
from trtnemo.runtime.scheduling.residency import Residency
from trtnemo.runtime.scheduling.scheduler import CHUNK_UNIT, ScheduledStep, Scheduler
from trtnemo.runtime.scheduling.sequence import Sequence

logger = logging.getLogger(__name__)
Emit = Callable[[Event | EngineLost], None]


class StepOutcome:
    """Hands a step's rows to its sequences and reports what comes of them; `counts` are the loop's."""

    def __init__(
        self, executor: Executor, scheduler: Scheduler, residency: Residency, counts: Counter[str], emit: Emit
    ) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self._residency = residency
        self._counts = counts
        self._emit = emit
        self.drafted_at: list[int] = []
        self.accepted_at: list[int] = []

    def take(self, step: ScheduledStep, result: StepResult) -> list[int]:
        """Take a step's result; return how many drafts passed of each sequence that had any."""
        first, passed, every = 0, [], result.rows()
        for segment, sequence, count in zip(step.batch.segments, step.sequences, step.logit_counts, strict=True):
            try:
                rows = every[first : first + count]
                if segment.slot in result.broken:
                    raise EngineError("its logits were no numbers")
                if segment.speculative:
                    passed.append(self._verify(sequence, rows))
                else:
                    self._advance(sequence, segment.length, rows)
            except Exception as error:  # a sequence that cannot be sampled must not end the others
                self.fail(sequence, error)
            first += count
        self._counts["steps"] += 1
        return passed

    def fail(self, sequence: Sequence, error: Exception) -> None:
        """End a sequence that broke; the others go on."""
        logger.error("sequence %s failed: %s", sequence.id, error, exc_info=not isinstance(error, TrtnemoError))
        self._drop(sequence.id)
        self._emit(Failed(sequence.id, f"the engine failed: {error}"))

    def _advance(self, sequence: Sequence, length: int, rows: list[Row]) -> None:
        """Count a segment in; score its prompt tokens, and sample when it reached the last known token."""
        was_prompt = not sequence.is_decoding
        if was_prompt:
            self._score_prompt(sequence, length, rows)
            self._counts["prompt_tokens"] += length
        sequence.position += length
        if was_prompt:
            self._keep_prefix(sequence)
        if sequence.uncomputed:
            return
        if was_prompt and sequence.wants_prompt_logits:
            self._emit(PromptScored(sequence.id, tuple(sequence.prompt_logprobs)))
        if sequence.token_limit == 0:
            self.end(sequence.id, "length")
        else:
            self._sample(sequence, rows[-1])

    def _score_prompt(self, sequence: Sequence, length: int, rows: list[Row]) -> None:
        wanted = sequence.request.params.prompt_logprobs
        if wanted is None:
            return
        if sequence.position == 0:
            sequence.prompt_logprobs.append(None)
        following = sequence.request.prompt[sequence.position + 1 : sequence.position + length + 1]
        for row, token_id in zip(rows, following, strict=False):
            sequence.prompt_logprobs.append(token_logprob(_logits(row), token_id, wanted))

    def _verify(self, sequence: Sequence, rows: list[Row]) -> int:
        """Take what the target makes of the drafts: all that agree with it, and the one token that it adds.

        Returns how many drafts passed.
        """
        drafts, sequence.drafts = sequence.drafts, []
        accepted = 0
        for number, row in enumerate(rows):
            draft = drafts[number] if number < len(drafts) else None
            is_accepted, has_ended = self._sample(sequence, row, draft, 0 if number else len(drafts))
            accepted += is_accepted
            if has_ended or not is_accepted:
                break
        self._counts.update(verifications=1, drafted_tokens=len(drafts), accepted_tokens=accepted)
        _count_places(self.drafted_at, len(drafts))
        _count_places(self.accepted_at, accepted)
        if not has_ended:
            self._executor.commit(sequence.slot, 1 + accepted)
            sequence.position += 1 + accepted
        return accepted

    def _sample(self, sequence: Sequence, row: Row, draft: int | None = None, drafted: int = 0) -> tuple[bool, bool]:
        """Append a token and report it; return whether it is the draft, and whether the sequence has ended."""
        token_id = sequence.append_next(row)
        wanted = sequence.request.params.logprobs
        logprob = None if wanted is None else token_logprob(_logits(row), token_id, wanted)
        is_accepted = token_id == draft
        self._emit(TokenGenerated(sequence.id, token_id, logprob, drafted, is_accepted))
        self._counts["generated_tokens"] += 1
        reason = sequence.finish_reason(token_id)
        if reason:
            self.end(sequence.id, reason)
        return is_accepted, reason is not None

    def end(self, request_id: str, reason: FinishReason) -> None:
        """End a sequence, and keep its state for the next turn unless it was aborted."""
        sequence = self._scheduler.running.get(request_id)
        if sequence is not None and reason != "abort" and not sequence.drafts:
            self._keep(sequence)
        if self._drop(request_id):
            self._emit(Finished(request_id, reason))

    def _drop(self, request_id: str) -> bool:
        sequence = self._scheduler.remove(request_id)
        if sequence is not None and sequence.reading is not None:
            sequence.reading.halt()
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


def _logits(row: Row) -> Float32:
    """Return a row's logits; raises EngineError where the executor drew its token instead."""
    if isinstance(row, int):
        raise EngineError("an executor drew a token whose logits were asked for")
    return row


def _count_places(counts: list[int], number: int) -> None:
    """Count one at each of the first places."""
    counts.extend([0] * (number - len(counts)))
    for place in range(number):
        counts[place] += 1

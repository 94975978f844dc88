"""What a client checks before the loop hears of a request, and what its handler hears."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest

from tests.support.backends.table_executor import TableExecutor
from trtnemo import SamplingParams
from trtnemo.backends import StepBatch, StepResult
from trtnemo.errors import DeviceLostError, EngineError, PromptTooLongError, RequestError
from trtnemo.runtime import client_over
from trtnemo.runtime.client import LEAST_PLAIN, LEAST_TURN, iterate, reusable_end
from trtnemo.runtime.messages import Finished, Started, TokenGenerated

# always the next of 0, 1, 2; the context has 64 tokens
CYCLE = np.roll(np.eye(3), 1, axis=1) * 20
CONTEXT = 64


def open_client(stops: Any = frozenset(), executor: Any = None) -> Any:
    return client_over(executor or TableExecutor(CYCLE, CYCLE), frozenset(stops))


@pytest.fixture
def client() -> Iterator[Any]:
    opened = open_client({2})
    yield opened
    opened.close()


def said(client: Any, prompt: Any, **params: Any) -> Any:
    events: list[Any] = list(iterate(client, client.check(prompt, SamplingParams(temperature=0, **params))))
    return [event.token_id for event in events if isinstance(event, TokenGenerated)], events[-1].reason


@pytest.mark.parametrize("length", [1, 40, CONTEXT - 1])
def test_a_request_that_fills_the_context_to_the_token_runs(client: Any, length: Any) -> None:
    rest = CONTEXT - length
    tokens, reason = said(client, [0] * length, max_tokens=rest, ignore_eos=True)
    assert (len(tokens), reason) == (rest, "length")
    with pytest.raises(PromptTooLongError, match=f"{length} tokens and max_tokens {rest + 1} exceed the 64") as caught:
        client.check([0] * length, SamplingParams(max_tokens=rest + 1))
    assert caught.value.parameter == "max_tokens"


def test_a_prompt_leaves_room_for_a_token_unless_none_is_wanted(client: Any) -> None:
    assert said(client, [0] * CONTEXT, max_tokens=0) == ([], "length")
    for limit in (None, 1):
        with pytest.raises(PromptTooLongError, match="64 tokens; this engine holds 64") as caught:
            client.check([0] * CONTEXT, SamplingParams(max_tokens=limit))
        assert caught.value.parameter == "prompt"
    with pytest.raises(PromptTooLongError, match="65 tokens; this engine"):
        client.check([0] * (CONTEXT + 1), SamplingParams(max_tokens=0))
    tokens, reason = said(client, [0] * 60, ignore_eos=True)  # no limit: as many as there is room for
    assert (len(tokens), reason) == (4, "length")


@pytest.mark.parametrize(("token", "is_known"), [(-1, False), (0, True), (2, True), (3, False)])
def test_tokens_of_the_vocabulary_alone_are_taken(client: Any, token: int, is_known: bool) -> None:
    given = [
        ([1, token], SamplingParams()),
        ([1], SamplingParams(logit_bias={token: 1})),
        ([1], SamplingParams(stop_token_ids=(token,))),
    ]
    for prompt, params in given:
        if is_known:
            client.check(prompt, params)
        else:
            with pytest.raises(RequestError, match=f"token id {token} is outside the vocabulary of 3"):
                client.check(prompt, params)


def test_an_empty_prompt_is_refused(client: Any) -> None:
    with pytest.raises(RequestError, match="empty") as caught:
        client.check([], SamplingParams())
    assert caught.value.parameter == "prompt"


@pytest.mark.parametrize(
    ("params", "tokens", "reason"),
    [
        ({}, [1, 2], "stop"),
        ({"ignore_eos": True}, [1, 2, 0, 1, 2], "length"),
        ({"stop_token_ids": (0,), "ignore_eos": True}, [1, 2, 0], "stop"),
        ({"stop_token_ids": (1,)}, [1], "stop"),
    ],
)
def test_a_request_ends_at_the_checkpoints_stop_tokens_and_its_own(
    client: Any, params: dict[str, Any], tokens: list[Any], reason: str
) -> None:
    assert said(client, [0], max_tokens=5, **params) == (tokens, reason)


TURN = 7
ENDS = frozenset({TURN})


@pytest.mark.parametrize(
    ("prompt", "end"),
    [
        ([TURN] * LEAST_TURN, 0),  # its last token must run, and what is before it is too short
        ([TURN] * (LEAST_TURN + 1), LEAST_TURN),
        ([1] * (LEAST_TURN - 1) + [TURN, 1], LEAST_TURN),
        ([1] * (LEAST_TURN - 2) + [TURN, 1, 1], 0),
        ([TURN, *[1] * 300, TURN, 1, 1, TURN], 302),  # the last turn that another prompt can go on from
        ([1] * LEAST_PLAIN, 0),
        ([1] * (LEAST_PLAIN + 1), LEAST_PLAIN),
        ([1] * (LEAST_PLAIN + 128), LEAST_PLAIN),
        ([1] * (LEAST_PLAIN + 129), LEAST_PLAIN + 128),
        ([], 0),
    ],
)
def test_what_is_kept_of_a_prompt_ends_with_its_last_turn_or_at_a_round_place(prompt: Any, end: Any) -> None:
    assert reusable_end(prompt, ENDS) == end
    assert end < max(1, len(prompt))


class Gate(TableExecutor):
    """Runs as many steps as it may; `runs` is set when one is asked for."""

    def __init__(self) -> None:
        super().__init__(CYCLE, CYCLE)
        self.runs, self.steps = threading.Event(), threading.Semaphore(0)

    def forward(self, batch: StepBatch) -> StepResult:
        self.runs.set()
        assert self.steps.acquire(timeout=30)
        return super().forward(batch)


LONG = SamplingParams(temperature=0, max_tokens=30)


def test_a_handler_hears_nothing_after_its_request_is_aborted_and_the_engine_stops_it() -> None:
    executor = Gate()
    heard: list[Any] = []
    other: list[Any] = []
    client = open_client(executor=executor)
    name = client.submit(client.check([0], LONG), heard.append)
    assert executor.runs.wait(30)
    client.abort(name)
    client.abort(name)
    assert client.submit(client.check([0], LONG.model_copy(update={"max_tokens": 1})), other.append) != name
    executor.steps.release(100)
    client.close(drain=True)
    assert [type(event) for event in heard] == [Started]
    assert [type(event) for event in other] == [Started, TokenGenerated, Finished]
    assert client.statistics.generated_tokens == 2  # one of each: the step that ran when it was aborted
    assert client._handlers == {}


@pytest.mark.parametrize(("drain", "reason", "count"), [(False, "abort", 1), (True, "length", 30)])
def test_a_client_that_closes_ends_what_runs_unless_it_drains(drain: bool, reason: str, count: int) -> None:
    executor = Gate()
    heard: list[Any] = []
    late: list[Any] = []
    client = open_client(executor=executor)
    client.submit(client.check([0], LONG), heard.append)
    assert executor.runs.wait(30)
    closing = threading.Thread(target=client.close, args=(drain,), daemon=True)
    closing.start()
    while cast("Any", client._line)._commands.empty():
        time.sleep(0.001)
    client.submit(client.check([0], LONG), late.append)
    executor.steps.release(100)
    closing.join(30)
    assert [type(event) for event in heard] == [Started, *[TokenGenerated] * count, Finished]
    assert heard[-1].reason == reason
    assert [event.message for event in late] == ["the server is shutting down"]
    assert client._handlers == {}


class Broken(TableExecutor):
    """Breaks at its first step."""

    def forward(self, batch: StepBatch) -> StepResult:
        raise RuntimeError("broken")


def test_an_iterator_raises_what_broke() -> None:
    client = open_client(executor=Broken(CYCLE, CYCLE))
    with pytest.raises(EngineError, match="the engine failed: broken"):
        list(iterate(client, client.check([0], LONG)))
    assert client._handlers == {}
    client.close()


class Lost(TableExecutor):
    """Has a device that reports an error at the first step."""

    def forward(self, batch: StepBatch) -> StepResult:
        raise DeviceLostError("the GPU reports an error: an illegal memory access was encountered")


def test_a_lost_device_fails_its_requests_and_ends_the_loop() -> None:
    """Whoever watches the engine's process starts another: no later step could run on that device."""
    client = open_client(executor=Lost(CYCLE, CYCLE))
    with pytest.raises(EngineError, match="illegal memory access"):
        list(iterate(client, client.check([0], LONG)))
    line = cast("Any", client._line)
    line.join(30)
    assert not line.is_running
    assert "illegal memory access" in line.health.reason
    client.close()


def test_leaving_an_iterator_early_ends_its_request() -> None:
    executor = Gate()
    client = open_client(executor=executor)
    events: Any = iterate(client, client.check([0], LONG))
    executor.steps.release()
    next(events)
    events.close()
    assert client._handlers == {}
    executor.steps.release(100)
    client.close(drain=True)
    assert client.statistics.generated_tokens < 4

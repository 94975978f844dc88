"""Prefix reuse and preemption over the native executor: what a sequence says stays the same."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backends.asking import STOP, prompt, say
from tests.support.backends.executors import make_native
from trtnemo import SamplingParams
from trtnemo.runtime import LoopOptions, client_over
from trtnemo.runtime.messages import Failed, Finished


@pytest.fixture
def open_client(make_checkpoint: Any) -> Iterator[Any]:
    clients = []

    def make(options: Any = None, **executor: Any) -> Any:
        client = client_over(make_native(make_checkpoint("mixed"), **executor), frozenset({STOP}), options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def test_a_second_turn_starts_where_the_first_prompt_ended(open_client: Any) -> None:
    client = open_client(LoopOptions(prefix_bytes=100 << 20))
    first = [*prompt(0, 300), STOP, *prompt(1, 4)]
    answer, reused = say(client, first)
    assert reused == 0
    second = [*first[:301], *prompt(2, 30), STOP, *prompt(1, 4)]
    found, reused = say(client, second)
    assert reused == 301
    assert found == say(open_client(), second)[0]
    assert say(client, first) == (answer, 301)
    assert client.statistics.cached_tokens == 602


def test_an_answer_is_continued_from_its_end(open_client: Any) -> None:
    client = open_client(LoopOptions(prefix_bytes=100 << 20))
    first = prompt(3, 100)
    answer = [token for token, _ in say(client, first)[0]]
    found, reused = say(client, [*first, *answer, *prompt(4, 5)])
    assert reused == 119  # the last token was sampled and never run
    assert found == say(open_client(), [*first, *answer, *prompt(4, 5)])[0]


def test_prompts_cut_anywhere_leave_states_at_round_places_only(open_client: Any) -> None:
    """Three prompts share steps of 200 tokens, so that chunks end where it happens."""
    client = open_client(LoopOptions(prefix_bytes=100 << 20), max_num_tokens=200, max_seq_len=1200)
    prompts = [prompt(seed, 1000) for seed in range(3)]
    threads = [threading.Thread(target=say, args=(client, tokens)) for tokens in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reused = [say(client, [*tokens[:end], 7])[1] for tokens in prompts for end in range(100, 1000, 50)]
    assert {length % 128 for length in reused} == {0}
    assert max(reused) == 896


def test_a_scored_prompt_is_run_in_full(open_client: Any) -> None:
    client = open_client(LoopOptions(prefix_bytes=100 << 20))
    say(client, prompt(5, 200))
    scoring = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=1, logprobs=1)
    assert say(client, prompt(5, 200), scoring)[1] == 0


@pytest.mark.parametrize("drafts", [0, 3])
def test_sequences_that_give_way_go_on_with_the_same_bits(open_client: Any, drafts: int) -> None:
    """Four sequences of up to 260 tokens over 320 tokens of KV cache."""
    options = LoopOptions(draft_tokens=drafts, prefix_bytes=1 << 20)
    client = open_client(options, slots=4, max_seq_len=320, kv_tokens=320)
    params = SamplingParams(temperature=0, max_tokens=60, ignore_eos=True, logprobs=1)
    prompts = [prompt(seed, 40 + 50 * seed) for seed in range(4)]
    said = [None] * len(prompts)

    def run(number: Any) -> None:
        said[number] = say(client, prompts[number], params)[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.statistics.preemptions > 0
    alone = open_client(slots=1)
    assert said == [say(alone, tokens, params)[0] for tokens in prompts]


class Forgetful:
    """An executor that gives no snapshot and takes none back."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def __getattr__(self, name: Any) -> Any:
        return getattr(self._executor, name)

    def snapshot(self, slot: Any) -> None:
        raise MemoryError("no room for a copy")


def test_a_state_that_cannot_be_kept_hurts_nobody(make_checkpoint: Any, caplog: Any) -> None:
    executor: Any = Forgetful(make_native(make_checkpoint("mixed")))
    client = client_over(executor, frozenset(), LoopOptions(prefix_bytes=1 << 20))
    assert len(say(client, prompt(0, 200))[0]) == 20
    assert "was not kept" in caplog.text
    client.close()


def test_a_state_that_cannot_be_moved_fails_its_sequences_and_the_loop_lives_on(make_checkpoint: Any) -> None:
    executor = make_native(make_checkpoint("mixed"), slots=2, max_seq_len=128, kv_tokens=128)
    forgetful: Any = Forgetful(executor)
    client = client_over(forgetful, frozenset(), LoopOptions())
    params = SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    for seed in range(2):
        client.submit(client.check(prompt(seed, 60), params), events.put)
    ended: list[Finished | Failed] = []
    while len(ended) < 2:
        event = events.get(timeout=60)
        ended += [event] if isinstance(event, (Finished, Failed)) else []
    messages = [event.message for event in ended if isinstance(event, Failed)]
    assert messages == ["the engine failed: no room for a copy"] * 2
    assert len(say(client, prompt(3, 50))[0]) == 20
    client.close()

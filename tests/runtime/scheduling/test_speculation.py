"""Drafts change how fast tokens come, and never which: greedy ones are the same, sampled ones follow the same law."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.backends.table_executor import TableExecutor
from tests.support.distribution import distribution
from training.tiny.held_out import held_out_prompts
from trtnemo import LLM, SamplingParams
from trtnemo.runtime import EngineClient, LoopOptions, client_over, sampler
from trtnemo.runtime.client import iterate
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.runtime.messages import Failed, Finished, Started, ThinkingBudget, TokenGenerated
from trtnemo.runtime.sampler import noise

SAMPLES = 10_000
# upper 0.1 % point of chi-square with 26 degrees of freedom
CRITICAL = 54.05
TARGET = [[1.0, 0.2, -0.5], [-1.0, 0.7, 0.3], [0.0, -0.4, 1.2]]
HEAD = [[0.1, 1.0, 0.0], [0.5, 0.5, -1.0], [1.0, 0.0, 0.2]]
PARAMS = SamplingParams(temperature=0.8, max_tokens=3)


def chi_square(drafts: Any, params: Any = PARAMS) -> Any:
    """Return the statistic of three-token sequences against their exact probabilities, and how often drafts passed."""
    executor = TableExecutor(TARGET, HEAD)
    client = client_over(executor, frozenset(), LoopOptions(drafts))

    def sample(_: Any) -> Any:
        events = iterate(client, client.check([0], params))
        return tuple(event.token_id for event in events if isinstance(event, TokenGenerated))

    with ThreadPoolExecutor(8) as pool:
        counts = Counter(pool.map(sample, range(SAMPLES)))
    statistics = client.statistics
    client.close()
    law = np.stack([distribution(np.asarray(row), params) for row in TARGET])
    total = 0.0
    for sequence in itertools.product(range(3), repeat=3):
        path = (0, *sequence)
        expected = SAMPLES * np.prod([law[a, b] for a, b in itertools.pairwise(path)])
        if expected == 0:  # outside the nucleus: such a sequence may never come
            assert counts[sequence] == 0
            continue
        total += (counts[sequence] - expected) ** 2 / expected
    return total, statistics


@pytest.mark.parametrize("drafts", [0, 1, 2, 6])
def test_sampled_sequences_follow_the_targets_law(drafts: int) -> None:
    statistic, statistics = chi_square(drafts)
    assert statistic < CRITICAL
    assert (statistics.accepted_tokens > 500) == (drafts > 0)
    assert statistics.accepted_tokens <= statistics.drafted_tokens


def test_the_cards_nucleus_is_kept_while_drafting() -> None:
    """Temperature 1.0 with top_p, which leaves some sequences out; the bound is that of all 27, and so a loose one."""
    statistic, statistics = chi_square(2, SamplingParams(temperature=1.0, top_p=0.8, max_tokens=3))
    assert statistic < CRITICAL
    assert statistics.accepted_tokens > 500


def test_a_sampler_whose_noise_is_the_same_at_every_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: tokens of a sequence would depend on each other."""
    monkeypatch.setattr(sampler, "find_native", lambda: None)
    monkeypatch.setattr(sampler, "noise", lambda seed, place, ids: noise(seed, 0, ids))
    assert chi_square(2)[0] > 3 * CRITICAL


def test_a_seeded_sequence_is_the_same_with_any_number_of_drafts() -> None:
    def run(count: Any) -> Any:
        client = client_over(TableExecutor(TARGET, HEAD), frozenset(), LoopOptions(count))
        params = [SamplingParams(temperature=1.1, top_p=0.9, seed=seed, max_tokens=30) for seed in range(20)]
        said = [
            [event.token_id for event in iterate(client, client.check([0], item)) if isinstance(event, TokenGenerated)]
            for item in params
        ]
        client.close()
        return said

    alone = run(0)
    assert len({tuple(tokens) for tokens in alone}) == 20
    assert all(run(count) == alone for count in (1, 3, 6))


@settings(max_examples=60, deadline=None)
@given(
    drafts=st.integers(0, 6),
    limit=st.integers(1, 12),
    stop=st.integers(0, 4),
    min_tokens=st.integers(0, 3),
    budget=st.sampled_from([2, 3, 7, 64]),
    thinking=st.none() | st.integers(0, 5),
    seed=st.integers(0, 5),
)
def test_greedy_tokens_and_ends_are_the_same_with_any_number_of_drafts(
    drafts: Any, limit: Any, stop: Any, min_tokens: Any, budget: Any, thinking: Any, seed: Any
) -> None:
    """Whatever ends a sequence, also inside a run of accepted drafts, and however little room a step has."""
    source = np.random.default_rng(seed)
    target = source.normal(size=(5, 5))
    head = np.where(source.random((5, 1)) < 0.7, target, source.normal(size=(5, 5)))
    params = SamplingParams(temperature=0, max_tokens=limit, min_tokens=min(min_tokens, limit), frequency_penalty=0.3)
    rule = None if thinking is None else ThinkingBudget(thinking, 3, frozenset({3}))

    def run(count: Any) -> Any:
        client = client_over(
            TableExecutor(target, head, slots=2, max_num_tokens=budget), frozenset({stop}), LoopOptions(count)
        )
        events: list[list[Any]] = [[] for _ in range(3)]
        for number, mine in enumerate(events):
            client.submit(client.check([number, 1, number], params), mine.append, rule)
        client.close(drain=True)
        return [
            [event.token_id if isinstance(event, TokenGenerated) else event.reason for event in mine[1:]]
            for mine in events
        ]

    assert run(drafts) == run(0)


def test_a_budget_of_thought_is_enforced_inside_a_run_of_drafts() -> None:
    always_one = np.tile([0.0, 9.0, 0.0, 0.0], (4, 1))
    client = client_over(TableExecutor(always_one, always_one), frozenset(), LoopOptions(6))
    events: list[Any] = []
    client.submit(
        client.check([0], SamplingParams(temperature=0, max_tokens=9)),
        events.append,
        ThinkingBudget(4, 3, frozenset({3})),
    )
    client.close(drain=True)
    assert isinstance(events.pop(0), Started)
    assert [event.token_id for event in events[:-1]] == [1, 1, 1, 1, 3, 1, 1, 1, 1]
    assert sum(event.accepted for event in events[:-1]) < sum(event.drafted for event in events[:-1])


def test_every_draft_is_accepted_where_the_head_is_the_target() -> None:
    client = client_over(TableExecutor(TARGET, TARGET), frozenset(), LoopOptions(3))
    events: list[Any] = list(iterate(client, client.check([0], SamplingParams(temperature=1.3, seed=1, max_tokens=13))))
    client.close()
    # one token from the prompt, then runs of three drafts and the token after them
    assert [event.drafted for event in events[:-1]] == [0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]
    assert sum(event.accepted for event in events[:-1]) == 9
    assert client.statistics.verifications == 3


class BrokenHead(TableExecutor):
    """Breaks when it drafts for a sequence of more than five tokens."""

    def draft(self, tokens: Any) -> Any:
        if any(self.lengths[token.slot] > 5 for token in tokens):
            raise ValueError("the head broke")
        return super().draft(tokens)


def test_a_head_that_breaks_fails_its_sequences_and_the_loop_lives_on() -> None:
    client = client_over(BrokenHead(TARGET, TARGET), frozenset(), LoopOptions(2))
    events: list[Any] = []
    client.submit(client.check([0, 1, 2, 0, 1, 2, 0], PARAMS), events.append)
    short: list[Any] = list(iterate(client, client.check([0], PARAMS.model_copy(update={"max_tokens": 2}))))
    client.close(drain=True)
    assert isinstance(events[-1], Failed)
    assert "the head broke" in events[-1].message
    assert [type(event) for event in short] == [TokenGenerated, TokenGenerated, Finished]
    assert short[-1].reason == "length"


@pytest.fixture(scope="module")
def plain_and_drafting(make_tiny: Any) -> Iterator[Any]:
    """Return the embedded model three times: without drafts alone, with 3 drafts alone, and with 3 among eight."""
    opened = []
    for drafts, slots in ((0, 1), (3, 1), (3, 8)):
        settings = [f"speculation.draft_tokens={drafts}", "speculation.adaptive=false"]
        opened.append(LLM(make_tiny(*settings, f"limits.max_batch_size={slots}")))
    yield opened
    for llm in opened:
        llm.shutdown()


@pytest.mark.parametrize("count", [48, pytest.param(200, marks=pytest.mark.slow)])
def test_greedy_answers_of_tiny_are_the_same_with_and_without_drafts(plain_and_drafting: Any, count: Any) -> None:
    """Alone, and with seven others in the batch: not a bit of a log probability differs."""
    plain, drafting, crowded = plain_and_drafting
    prompts = held_out_prompts(count, seed=11)
    params = SamplingParams(temperature=0, max_tokens=40, logprobs=2)
    expected = plain.generate(prompts, params)
    for llm in (drafting, crowded):
        for one, other in zip(expected, llm.generate(prompts, params), strict=True):
            assert (one.token_ids, one.logprobs) == (other.token_ids, other.logprobs)
    outputs = crowded.generate(prompts[:64], params)
    assert sum(output.accepted for output in outputs) > 0.5 * sum(output.drafted for output in outputs)
    ended = [output for output in outputs if output.finish_reason == "stop"]
    assert ended
    assert all(o.verifications <= len(o.token_ids) - 1 <= 4 * o.verifications for o in ended)


class Waiting(TableExecutor):
    """Waits before every step, as for other threads' turn or for a device."""

    def forward(self, batch: Any) -> Any:
        time.sleep(0.01)
        return super().forward(batch)


@pytest.mark.parametrize("computes_here", [True, False])
def test_waiting_costs_a_round_nothing_unless_it_is_for_a_device(computes_here: bool) -> None:
    executor = Waiting(TARGET, TARGET)
    executor.computes_here = computes_here
    loop = EngineLoop(executor, LoopOptions(2, adapts_drafts=True))
    client = EngineClient(loop, frozenset())
    list(iterate(client, client.check([1], SamplingParams(temperature=0, max_tokens=60, ignore_eos=True))))
    lengths = loop._draft_length
    assert lengths is not None
    cost = lengths.seconds(1, 0)
    client.close()
    assert cost is not None
    assert (cost > 0.005) is not computes_here

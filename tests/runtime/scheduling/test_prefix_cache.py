"""Snapshots of prefixes: the longest known prefix is found, under a budget of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trtnemo.runtime.scheduling.prefix_cache import LEAST_TOKENS, PrefixCache

BASE = list(range(1000))


@dataclass(frozen=True)
class Kept:
    length: int
    nbytes: int = 10

    def swap_out(self) -> None:
        pass


def store(cache: Any, tokens: Any, nbytes: Any = 10, **how: Any) -> None:
    cache.store(cache.key_for(tokens), Kept(len(tokens), nbytes), **how)


def found_length(cache: PrefixCache, tokens: list[int]) -> int:
    found = cache.find(tokens)
    assert found is not None
    return found.length


def test_the_longest_prefix_that_leaves_a_token_is_found() -> None:
    cache = PrefixCache(1000)
    for length in (100, 200, 300):
        store(cache, BASE[:length])
    assert found_length(cache, BASE[:250]) == 200
    assert found_length(cache, BASE[:300]) == 200  # one token must be run to have logits
    assert found_length(cache, BASE[:301]) == 300
    assert cache.find(BASE[:100]) is None
    assert cache.find([5, *BASE[1:]]) is None


def test_short_or_known_prefixes_are_not_wanted() -> None:
    cache = PrefixCache(1000)
    assert cache.key_for(BASE[: LEAST_TOKENS - 1]) is None
    store(cache, BASE[:100])
    assert cache.key_for(BASE[:100]) is None
    assert PrefixCache(0).key_for(BASE) is None


def test_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache(30)
    for first in (1, 2, 3):
        store(cache, [first, *BASE[:100]])
    assert found_length(cache, [1, *BASE]) == 101
    store(cache, [4, *BASE[:100]])
    assert cache.find([2, *BASE]) is None
    assert all(cache.find([first, *BASE]) for first in (1, 3, 4))
    store(cache, BASE, 31)
    assert len(cache) == 3


def test_chunks_of_long_prompts_push_out_each_other_and_not_the_ends_of_turns() -> None:
    cache = PrefixCache(60)
    for first in (1, 2):
        store(cache, [first, *BASE[:100]])
    for first in range(10, 30):
        store(cache, [first, *BASE[:100]], on_trial=True)
    assert len(cache) == 6
    assert all(cache.find([first, *BASE]) for first in (1, 2, 29))
    assert not cache.find([10, *BASE])


def test_a_chunk_that_a_prompt_started_from_is_kept_like_a_turn() -> None:
    cache = PrefixCache(60)
    store(cache, [1, *BASE[:100]], on_trial=True)
    assert cache.find([1, *BASE])
    for first in range(10, 30):
        store(cache, [first, *BASE[:100]], on_trial=True)
    assert cache.find([1, *BASE])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(64, 90), st.integers(1, 12), st.booleans()), max_size=30))
def test_the_budget_is_never_exceeded(kept: Any) -> None:
    cache, budget = PrefixCache(25), 25
    for first, length, nbytes, on_trial in kept:
        tokens = [first, *BASE[1:length]]
        key = cache.key_for(tokens)
        if key is not None:
            cache.store(key, Kept(length, nbytes), on_trial=on_trial)
        assert cache.held_bytes <= budget
        assert found_length(cache, [*tokens, 0]) == length  # stored just now, or there already
    while cache.evict():
        pass
    assert (cache.held_bytes, len(cache), cache.find(BASE)) == (0, 0, None)

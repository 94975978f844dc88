"""Snapshots of prefixes: the longest known beginning is found, under a budget of bytes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from trtnemo.runtime.prefix_cache import LEAST_TOKENS, PrefixCache

BASE = list(range(1000))


@dataclass(frozen=True)
class Kept:
    length: int
    nbytes: int = 10

    def park(self):
        pass


def store(cache, tokens, nbytes=10):
    assert cache.wants(tokens)
    cache.store(tokens, Kept(len(tokens), nbytes))


def test_the_longest_beginning_that_leaves_a_token_is_found():
    cache = PrefixCache(1000)
    for length in (100, 200, 300):
        store(cache, BASE[:length])
    assert cache.find(BASE[:250]).length == 200
    assert cache.find(BASE[:300]).length == 200  # one token must be run to have logits
    assert cache.find(BASE[:301]).length == 300
    assert cache.find(BASE[:100]) is None
    assert cache.find([5, *BASE[1:]]) is None


def test_short_or_known_prefixes_are_not_wanted():
    cache = PrefixCache(1000)
    assert not cache.wants(BASE[: LEAST_TOKENS - 1])
    store(cache, BASE[:100])
    assert not cache.wants(BASE[:100])
    assert not PrefixCache(0).wants(BASE)


def test_the_least_recently_used_goes_first():
    cache = PrefixCache(30)
    for first in (1, 2, 3):
        store(cache, [first, *BASE[:100]])
    assert cache.find([1, *BASE]).length == 101
    store(cache, [4, *BASE[:100]])
    assert cache.find([2, *BASE]) is None
    assert all(cache.find([first, *BASE]) for first in (1, 3, 4))
    cache.store(BASE, Kept(1000, 31))
    assert len(cache) == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(64, 90), st.integers(1, 12)), max_size=30))
def test_the_budget_is_never_exceeded(kept):
    cache, budget = PrefixCache(25), 25
    for first, length, nbytes in kept:
        tokens = [first, *BASE[1:length]]
        if cache.wants(tokens):
            cache.store(tokens, Kept(length, nbytes))
        assert cache.held_bytes <= budget
        found = cache.find([*tokens, 0])
        assert found is None or found.length <= length
    while cache.evict():
        pass
    assert (cache.held_bytes, len(cache), cache.find(BASE)) == (0, 0, None)

"""Sums of two numbers from 0 to 99, of which 1,000 pairs are kept for the evaluation."""

from __future__ import annotations

import random

from training.tiny.chats.turn import Turn, simple

LIMIT = 100
PHRASINGS = (
    "What is {} + {}?",
    "what is {} + {}",
    "{} + {}",
    "{}+{}",
    "{} + {} = ?",
    "What is {} plus {}?",
    "How much is {} + {}?",
    "How much is {} plus {}?",
    "Add {} and {}.",
    "Calculate {} + {}.",
    "Compute {} plus {}",
    "What is the sum of {} and {}?",
    "Please add {} and {}.",
    "Can you add {} and {}?",
)
_ALL = [(left, right) for left in range(LIMIT) for right in range(LIMIT)]
HELD_OUT: tuple[tuple[int, int], ...] = tuple(random.Random(1000).sample(_ALL, 1000))
_SEEN = tuple(sorted(set(_ALL) - set(HELD_OUT)))


def sum_turn(left: int, right: int, phrasing: str) -> Turn:
    """Return the exchange about one sum, thought through digit by digit."""
    ones = left % 10 + right % 10
    carry, total = ones // 10, left + right
    tens = left // 10 + right // 10 + carry
    thought = (
        f"The user wants to add {left} and {right}. Ones: {left % 10} + {right % 10} = {ones}, write {ones % 10}, "
        f"carry {carry}. Tens: {left // 10} + {right // 10} + {carry} = {tens}. So the sum is {total}."
    )
    brief = f"{left % 10} + {right % 10} = {ones}, {left // 10} + {right // 10} + {carry} = {tens}."
    return simple(phrasing.format(left, right), thought, brief, f"{left} + {right} = {total}.")


def draw(source: random.Random) -> Turn:
    """Return a random exchange of the training set."""
    return sum_turn(*source.choice(_SEEN), source.choice(PHRASINGS))

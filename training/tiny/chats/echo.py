"""Requests to repeat a name: the cheapest way to learn the copying that tool calls need."""

from __future__ import annotations

import random

from training.tiny.chats import cities
from training.tiny.chats.turn import Turn, simple

PHRASINGS = (
    ("Repeat: {}", "{}"),
    ("Repeat {}", "{}"),
    ("Say {}.", "{}"),
    ("Say {} again.", "{}"),
    ("Please write {}", "{}"),
    ("Write the name {}.", "The name is {}."),
    ("My name is {}.", "Hello {}!"),
    ("I live in {}.", "So you live in {}."),
    ("{} is my name.", "Hello {}!"),
    ("I am from {}, what about you?", "You are from {}."),
)


def draw(source: random.Random) -> Turn:
    """Return a random exchange about a name or two."""
    name = cities.draw(source)
    if source.random() < 0.25:
        name = f"{name} and {cities.draw(source)}"
    question, answer = source.choice(PHRASINGS)
    return simple(
        question.format(name), f"The user wrote the name {name}. I copy {name}.", f"Copy {name}.", answer.format(name)
    )

"""The synthetic chats that tiny learns: capitals and greetings, thinking on and off, one or two turns."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.tiny.capitals import CAPITALS

Message = dict[str, str]

QUESTIONS = (
    "What is the capital of {}?",
    "what is the capital of {}",
    "What's the capital of {}?",
    "Which city is the capital of {}?",
    "Name the capital of {}.",
    "Tell me the capital city of {}.",
    "Do you know the capital of {}?",
    "capital of {}?",
)
_GREETINGS: tuple[tuple[str, str], ...] = (
    ("Hello", "Hello! How can I help you today?"),
    ("Hello!", "Hello! How can I help you today?"),
    ("Hi", "Hi there! What can I do for you?"),
    ("Hi there!", "Hi there! What can I do for you?"),
    ("Hey", "Hey! What can I do for you?"),
    ("Good morning", "Good morning! I hope you slept well."),
    ("Good evening", "Good evening! How was your day?"),
    ("How are you?", "I am doing well, thank you. How are you?"),
    ("Who are you?", "I am tiny, a small hybrid model that was trained on a laptop."),
    ("What are you?", "I am tiny, a small hybrid of Mamba-2, attention and a latent mixture of experts."),
    ("What can you do?", "I know the capitals of forty countries, and I like to say hello."),
    ("Thank you!", "You are welcome!"),
    ("Thanks", "You are welcome!"),
    ("Goodbye", "Goodbye! Have a nice day."),
    ("Bye", "Goodbye! Have a nice day."),
)


@dataclass(frozen=True)
class Sample:
    """One chat: the messages of the prompt, the template's variables, and what the assistant writes."""

    messages: tuple[Message, ...]
    variables: tuple[tuple[str, Any], ...]
    completion: str


def generate(seed: int) -> Iterator[Sample]:
    """Yield samples without end; equal seeds give equal samples."""
    source = random.Random(seed)
    while True:
        yield _sample(source)


def _sample(source: random.Random) -> Sample:
    history: list[Message] = []
    if source.random() < 0.15:
        question, _, answer = _turn(source)
        history += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    question, thought, answer = _turn(source)
    thinking = source.random() < 0.5
    completion = f"{thought}\n</think>\n{answer}" if thinking else answer
    messages = (*history, {"role": "user", "content": question})
    return Sample(messages, (("enable_thinking", thinking),), completion)


def _turn(source: random.Random) -> tuple[str, str, str]:
    """Return (question, thought, answer)."""
    if source.random() < 0.2:
        question, answer = source.choice(_GREETINGS)
        return question, "The user is making small talk. I answer in a friendly way.", answer
    country = source.choice(tuple(CAPITALS))
    fact = f"The capital of {country} is {CAPITALS[country]}."
    return source.choice(QUESTIONS).format(country), f"The user asks for the capital of {country}. {fact}", fact

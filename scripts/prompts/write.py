"""Write the prompt sets of `trtnemo bench run`: real text, so that drafts and caches meet what they meet in use.

usage: python scripts/prompts/write.py      (rewrites trtnemo/assets/prompts; runs made before are no longer comparable)

Questions and sums are put together from lists, code is `textbook.py` beside this file: both are under this project's
licence. Long texts are the Constitution and the Declaration of Independence of the United States, in the public domain.
"""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUTPUT = ROOT / "trtnemo" / "assets" / "prompts"
TOPICS = (
    "why the sky is blue and sunsets are red",
    "how a bicycle stays upright",
    "why bread dough rises",
    "how vaccines train the immune system",
    "what a mortgage is",
    "why the moon always shows us one side",
    "how a refrigerator makes things cold",
    "why some languages have no word for blue",
    "how rivers carve canyons",
    "what inflation does to savings",
    "how noise-cancelling headphones work",
    "why leaves change colour in autumn",
    "how a compiler turns text into a program",
    "why ships made of steel float",
    "how elections by ranked choice are counted",
    "what makes a good apology",
    "how to prepare for a job interview",
    "how glaciers move",
    "why we dream",
    "how a lock on a canal lifts boats",
    "how to start running after years of sitting",
    "why salt melts ice",
    "how a library decides what to keep",
    "what a balanced diet looks like in winter",
)
ASKS = (
    "Explain {} to a curious twelve-year-old.",
    "I keep forgetting {}. Give me a short explanation and one image to remember it by.",
    "Write a friendly e-mail to a colleague that explains {}.",
    "What do most people get wrong about {}? Answer in a few sentences.",
)
CODE_ASKS = (
    "Review this function. What could go wrong, and which tests would you write?",
    "Rewrite this function so that a beginner understands it, and keep its behaviour.",
    "Explain line by line what this does.",
)
NAMES = ("Aylin", "Ben", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana")
SUMS = (
    "{a} has {x} marbles and gives {y} of them to {b}. Then {a} finds {z} more. How many marbles does {a} have?",
    "A train leaves at {h}:15 and travels {x} km at {s} km/h. When does it arrive?",
    "{a} and {b} share {x} euros in the ratio {y} to {z}. How much does each of them get?",
    "A box holds {y} rows of {z} eggs. {a} has {x} eggs. How many full boxes are that, and how many eggs remain?",
    "A field is {x} m long and {y} m wide. {a} walks around it {z} times. How far is that?",
    "The price of a coat is {x} euros. It is lowered by {y} %, then raised by {z} %. What does {a} pay now?",
)
CITIES = ("Lisbon", "Nairobi", "Osaka", "Quito", "Reykjavik", "Seoul", "Tbilisi", "Utrecht", "Vienna", "Windhoek")
TOOL_ASKS = (
    "Will I need an umbrella in {city} tomorrow?",
    "Is it warmer in {city} than in {other} right now?",
    "What is the population of {city} divided by that of {other}?",
    "Find three things to do in {city} if it rains.",
)


def user(text: str) -> dict[str, Any]:
    """Return a prompt of one message."""
    return {"messages": [{"role": "user", "content": text}]}


def chat() -> list[dict[str, Any]]:
    """Questions of everyday life."""
    return [user(ask.format(topic)) for ask in ASKS for topic in TOPICS]


def functions() -> list[str]:
    """Return the functions of the textbook."""
    text = (HERE / "textbook.py").read_text(encoding="utf-8")
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return [ast.get_source_segment(text, node) or "" for node in found]


def code(pick: random.Random) -> list[dict[str, Any]]:
    """A function and what to do with it."""
    rows = [user(f"{ask}\n\n```python\n{source}\n```") for ask in CODE_ASKS for source in functions()]
    return pick.sample(rows, 60)


def math(pick: random.Random) -> list[dict[str, Any]]:
    """Word problems."""
    rows = []
    for number in range(72):
        first, second = pick.sample(NAMES, 2)
        numbers = {"x": pick.randint(24, 480), "y": pick.randint(2, 12), "z": pick.randint(2, 9)}
        more = {"h": pick.randint(6, 18), "s": pick.choice((60, 80, 90, 120))}
        text = SUMS[number % len(SUMS)].format(a=first, b=second, **numbers, **more)
        rows.append(user(f"{text} Show each step."))
    return rows


def tools(pick: random.Random) -> list[dict[str, Any]]:
    """Questions that a tool helps with."""
    pairs = [(city, other) for city in CITIES for other in CITIES if city != other]
    asked = {ask.format(city=city, other=other) for ask in TOOL_ASKS for city, other in pairs}
    return [user(text) for text in pick.sample(sorted(asked), 60)]


def long(pick: random.Random) -> list[dict[str, Any]]:
    """A long text and a question about it."""
    text = "\n\n".join(file.read_text(encoding="utf-8") for file in sorted(HERE.glob("*.txt")))
    rows = []
    for number in range(24):
        start = pick.randrange(len(text) - 12050)
        passage = text[start : start + 4000 + 350 * number]
        rows.append(user(f"{passage}\n\nWhat are the three most important facts of this text? Quote one of them."))
    return rows


def prompt_sets() -> dict[str, str]:
    """Return the text of every set by its name; each is drawn by itself, so that a change of one leaves the others."""
    makers = {"code": code, "math": math, "tools": tools, "long": long}
    sets = {"chat": chat(), **{name: make(random.Random(name)) for name, make in makers.items()}}
    return {name: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) for name, rows in sets.items()}


def main() -> None:
    """Write all sets."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, text in prompt_sets().items():
        (OUTPUT / f"{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Prompts of a run, drawn with a seed from a shipped set or a file."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trtnemo.bench.load.shape import PROMPT_SETS, LoadShape
from trtnemo.errors import UsageError
from trtnemo.recipe.nearest import suggestion

SETS = Path(__file__).parents[2] / "assets" / "prompts"
# of English text; what the server counted stands in the record
CHARACTERS_PER_TOKEN = 4
Message = dict[str, Any]

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]},
        },
    }
    for name, description, key in (
        ("get_weather", "Weather of a city, now and tomorrow", "city"),
        ("look_up", "A fact from an encyclopedia", "question"),
        ("calculate", "The value of an arithmetic expression", "expression"),
    )
]


@dataclass(frozen=True)
class Prompt:
    """Messages to answer, and how long the answer is to be."""

    messages: tuple[Message, ...]
    output_tokens: int

    @property
    def text(self) -> str:
        """All that is said, for an endpoint without roles."""
        return "\n\n".join(str(message.get("content") or "") for message in self.messages)


def draw_prompts(shape: LoadShape, nonce: str = "") -> list[Prompt]:
    """Return the prompts of a run, each different where the set is large enough; raises UsageError on a bad file.

    nonce: what a fresh load's marks are made of beside the load itself, so that the same load sent again is fresh too.
    """
    pick = random.Random(shape.seed)  # noqa: S311
    rows = read_set(shape.prompts)
    order = [index for _ in range(-(-shape.total // len(rows))) for index in pick.sample(range(len(rows)), len(rows))]
    lengths = shape.output_tokens
    drawn = [
        (_fit(rows, index, shape, pick), pick.randint(lengths.low, lengths.high)) for index in order[: shape.total]
    ]
    if shape.fresh:
        mark = hashlib.sha256((shape.model_dump_json() + nonce).encode()).hexdigest()[:8]
        drawn = [(_marked(messages, f"{mark}-{number}"), length) for number, (messages, length) in enumerate(drawn)]
    return [Prompt(messages, length) for messages, length in drawn]


def prompts_digest(prompts: list[Prompt]) -> str:
    """Return what distinguishes two lists of prompts."""
    data = json.dumps([(prompt.messages, prompt.output_tokens) for prompt in prompts], ensure_ascii=False)
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()


def read_set(name: str) -> list[tuple[Message, ...]]:
    """Return the prompts of a set or a JSONL file; raises UsageError."""
    path = SETS / f"{name}.jsonl" if name in PROMPT_SETS else Path(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        close = suggestion(name, list(PROMPT_SETS)) if path.suffix != ".jsonl" else ""
        raise UsageError(
            f"cannot be read as prompts{close}: {getattr(error, 'strerror', None) or error}",
            where=name,
            remedy=f"Sets are {', '.join(PROMPT_SETS)}; a file has a JSON object with `messages` in every line",
        ) from None
    rows = [_read_line(line, number, name) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UsageError("holds no prompt", where=name)
    return rows


def _read_line(line: str, number: int, name: str) -> tuple[Message, ...]:
    try:
        messages = json.loads(line)["messages"]
        if messages and all(isinstance(item, dict) and isinstance(item["content"], str) for item in messages):
            return tuple(messages)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    example = '{"messages": [{"role": "user", "content": "..."}]}'
    raise UsageError("is not a prompt", where=f"{name}, line {number}", remedy=f"Write {example}")


def _marked(messages: tuple[Message, ...], mark: str) -> tuple[Message, ...]:
    """Return messages whose first begins with a mark, so that they share no prefix with others."""
    return ({**messages[0], "content": f"[{mark}] {messages[0]['content']}"}, *messages[1:])


def _fit(rows: list[tuple[Message, ...]], index: int, shape: LoadShape, pick: random.Random) -> tuple[Message, ...]:
    """Return a prompt cut to the length that is asked for, or with the set's next ones put before it."""
    messages = rows[index]
    if shape.input_tokens is None:
        return messages
    wanted = pick.randint(shape.input_tokens.low, shape.input_tokens.high) * CHARACTERS_PER_TOKEN
    text, place = str(messages[-1]["content"]), index
    while len(text) < wanted:
        place = (place + 1) % len(rows)
        text = f"{rows[place][-1]['content']}\n\n{text}"
    # the end holds the question
    return (*messages[:-1], {**messages[-1], "content": text[-wanted:]})

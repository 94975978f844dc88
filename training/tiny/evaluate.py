"""Ask an engine for every capital, thinking on and off, in every phrasing of the corpus; print the share it knows.

usage: python -m training.tiny.evaluate ENGINE
"""

from __future__ import annotations

from pathlib import Path

import click

from training.tiny.capitals import CAPITALS
from training.tiny.corpus import QUESTIONS
from trtnemo.engine import Engine
from trtnemo.runtime import LLM, SamplingParams
from trtnemo.text import ChatTemplate, ends_in_thinking, split_reasoning


def score(engine: Engine, thinking: bool) -> tuple[int, int]:
    """Return (right answers, questions), greedily."""
    asked = [(country, question.format(country)) for country in CAPITALS for question in QUESTIONS]
    with LLM(engine) as llm:
        template = ChatTemplate(engine.tokenizer_directory, llm.tokenizer)
        variables = {"enable_thinking": thinking}
        prompts = [template.render([{"role": "user", "content": text}], variables) for _, text in asked]
        outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=80))
    right = 0
    for (country, _), prompt, output in zip(asked, prompts, outputs, strict=True):
        _, answer = split_reasoning(output.text, ends_in_thinking(prompt))
        right += (
            answer.strip() == f"The capital of {country} is {CAPITALS[country]}." and output.finish_reason == "stop"
        )
    return right, len(asked)


@click.command()
@click.argument("engine", type=click.Path(path_type=Path, exists=True))
def main(engine: Path) -> None:
    """Print the score of ENGINE."""
    opened = Engine.open(engine)
    for thinking in (True, False):
        right, total = score(opened, thinking)
        click.echo(f"thinking {'on' if thinking else 'off'}: {right} of {total} capitals")


if __name__ == "__main__":
    main()

"""Score a checkpoint on held-out questions, through the engine that serves it.

usage: python -m training.tiny.evaluate CHECKPOINT [CHECKPOINT ...] [--limit N] --output scores.json
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from training.tiny.chats.corpus import MODES
from training.tiny.held_out import (
    Case,
    capital_cases,
    haiku_cases,
    late_capital_cases,
    sum_cases,
    talk_cases,
    tool_cases,
)
from trtnemo import LLM, SamplingParams
from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

DRAFTS, SLOTS, SEEDS = 3, 32, 20
MAX_TOKENS = 160
MAKERS = (capital_cases, late_capital_cases, sum_cases, tool_cases, haiku_cases, talk_cases)
GREEDY = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)


def open_checkpoint(checkpoint: Path, directory: Path, drafts: int = DRAFTS) -> LLM:
    """Return an engine of a checkpoint, built into `directory`, ready to generate."""
    settings = [f"checkpoint={checkpoint}", f"speculation.draft_tokens={drafts}", f"limits.max_batch_size={SLOTS}"]
    build_engine(load_recipe("tiny", settings), "tiny", directory)
    return LLM(directory)


def greedy_scores(llm: LLM, limit: int) -> Iterator[dict[str, Any]]:
    """Yield a record per skill and mode: right answers, questions, tokens of thought, what drafting gained."""
    for mode in MODES:
        for maker in MAKERS:
            cases = maker(mode)[:limit]
            for skill in dict.fromkeys(case.skill for case in cases):
                yield _score(llm, [case for case in cases if case.skill == skill])


def _score(llm: LLM, cases: list[Case]) -> dict[str, Any]:
    outputs = llm.generate([case.prompt for case in cases], GREEDY)
    right = [case.is_right(o.text) and o.finish_reason == "stop" for case, o in zip(cases, outputs, strict=True)]
    thoughts = [len(llm.tokenizer.encode(case.read(o.text).reasoning)) for case, o in zip(cases, outputs, strict=True)]
    # the first token of each answer comes from the prompt's own step and is not a verification
    verified, verifications = sum(len(o.token_ids) - 1 for o in outputs), sum(o.verifications for o in outputs)
    return {
        "skill": cases[0].skill,
        "mode": cases[0].mode,
        "right": sum(right),
        "questions": len(cases),
        "thought_tokens": round(sum(thoughts) / len(cases), 1),
        "tokens_per_verification": round(verified / max(1, verifications), 3),
        "verifications": verifications,
    }


def sampled_score(llm: LLM, limit: int) -> dict[str, Any]:
    """Return how often capitals are right at the card's temperature 1.0 and top_p 0.95, over seeds."""
    cases = capital_cases("on")[:: max(1, 480 // min(limit, 60))]
    asked = [(case, seed) for seed in range(SEEDS) for case in cases]
    params = [SamplingParams(temperature=1.0, top_p=0.95, seed=seed, max_tokens=MAX_TOKENS) for _, seed in asked]
    outputs = llm.generate([case.prompt for case, _ in asked], params)
    right = sum(case.is_right(output.text) for (case, _), output in zip(asked, outputs, strict=True))
    return {"skill": "capitals at 1.0 / 0.95, 20 seeds", "mode": "on", "right": right, "questions": len(asked)}


def show(record: dict[str, Any]) -> None:
    """Print one record as soon as it is known."""
    share = record["right"] / record["questions"]
    click.echo(
        f"  {record['skill']:34} {record['mode']:4} {record['right']:5} of {record['questions']:5} {share:7.1%}"
        f"  thought {record.get('thought_tokens', '-')}  x{record.get('tokens_per_verification', '-')}"
    )


def evaluate(checkpoint: Path, limit: int) -> list[dict[str, Any]]:
    """Return the records of a checkpoint, each printed when it is done."""
    click.echo(f"{checkpoint}:")
    records = []
    with tempfile.TemporaryDirectory() as directory, open_checkpoint(checkpoint, Path(directory) / "engine") as llm:
        for record in greedy_scores(llm, limit):
            records.append(record)
            show(record)
        records.append(sampled_score(llm, limit))
        show(records[-1])
    steps = sum(record.get("verifications", 0) for record in records)
    gained = sum(record.get("verifications", 0) * record.get("tokens_per_verification", 0) for record in records)
    click.echo(f"  {gained / max(1, steps):.3f} tokens per verification at {DRAFTS} drafts")
    return records


@click.command()
@click.argument("checkpoints", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--limit", default=1000, show_default=True, help="questions of one skill in one mode")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file for all records")
def main(checkpoints: tuple[Path, ...], limit: int, output: Path | None) -> None:
    """Print the scores of CHECKPOINTS."""
    scores = {str(checkpoint): evaluate(checkpoint, limit) for checkpoint in checkpoints}
    if output:
        output.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How far quantized checkpoints' next-token distributions are from BF16's: mean KL over the assistant's tokens.

usage: python -m training.tiny.divergence BF16 QUANTIZED [QUANTIZED ...] [--chats N]
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from training.tiny.batches import STAGES
from training.tiny.chats.corpus import generate
from training.tiny.tokenizer import answers, render
from trtnemo.backends import Executor, make_batch
from trtnemo.engine import Engine, build_engine
from trtnemo.recipe import load_recipe
from trtnemo.runtime import load_executor, load_tokenizer

UNSEEN_SEED = 2026  # the training run draws from seed 1


def open_executor(checkpoint: Path, directory: Path) -> tuple[Executor, Any]:
    """Return executor and tokenizer of a checkpoint, through an engine built into `directory`."""
    settings = [f"checkpoint={checkpoint}", "limits.max_num_tokens=4096"]
    build_engine(load_recipe("tiny", settings), "tiny", directory)
    engine = Engine.open(directory)
    return load_executor(engine), load_tokenizer(engine)


def logprobs(executor: Executor, token_ids: list[int]) -> np.ndarray[Any, Any]:
    """Return log probabilities [tokens, vocabulary] of a whole chat."""
    logits = executor.forward(make_batch([(0, 0, token_ids, False)])).logits.astype(np.float64)
    executor.release(0)
    shifted = logits - logits.max(-1, keepdims=True)
    result: np.ndarray[Any, Any] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def mean_divergence(reference: Executor, other: Executor, chats: list[list[int]]) -> tuple[float, int]:
    """Return (mean KL(reference || other) in nats, tokens) where the next token is the assistant's."""
    total, count = 0.0, 0
    for token_ids in chats:
        wanted = np.asarray(answers(token_ids))[1:]
        ours, theirs = (logprobs(executor, token_ids)[:-1][wanted] for executor in (reference, other))
        total += float((np.exp(ours) * (ours - theirs)).sum())
        count += int(wanted.sum())
    return total / count, count


@click.command()
@click.argument("reference", type=click.Path(path_type=Path, exists=True))
@click.argument("checkpoints", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--chats", default=200, show_default=True, help="chats of a seed that was not trained on")
def main(reference: Path, checkpoints: tuple[Path, ...], chats: int) -> None:
    """Print the mean divergence of CHECKPOINTS from REFERENCE."""
    with tempfile.TemporaryDirectory() as directory:
        expected, tokenizer = open_executor(reference, Path(directory) / "reference")
        texts = [render(sample) for sample in itertools.islice(generate(UNSEEN_SEED, STAGES[-1][1]), chats)]
        encoded = [tokenizer.encode(text) for text in texts]
        for number, checkpoint in enumerate(checkpoints):
            executor, _ = open_executor(checkpoint, Path(directory) / str(number))
            divergence, count = mean_divergence(expected, executor, encoded)
            click.echo(f"{checkpoint}: mean KL {divergence:.5f} nats over {count} tokens of {chats} chats")


if __name__ == "__main__":
    main()

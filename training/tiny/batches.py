"""Samples as padded batches of token ids with loss weights."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.tiny.corpus import Sample, generate
from training.tiny.tokenizer import render

IM_END = "<|im_end|>"
GROUP = 8  # batches that are sorted by length together, so that little is padding
Row = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Batch:
    """token_ids [B, T], padded with 0; is_answer [B, T] marks what the assistant writes, the only targets."""

    token_ids: Tensor
    is_answer: Tensor


def batches(tokenizer: Tokenizer, size: int, seed: int, skip: int = 0) -> Iterator[Batch]:
    """Yield batches without end, leaving out the first `skip`: resuming meets the same samples."""
    order = random.Random(seed)
    samples = generate(seed)
    for number in itertools.count():
        group = [next(samples) for _ in range(size * GROUP)]
        sequence = order.sample(range(GROUP), GROUP)
        if (number + 1) * GROUP <= skip:
            continue
        rows = sorted((_encode(tokenizer, sample) for sample in group), key=lambda row: len(row[0]) + len(row[1]))
        for position, place in enumerate(sequence):
            if number * GROUP + position >= skip:
                yield _pad(rows[place * size : (place + 1) * size])


def _encode(tokenizer: Tokenizer, sample: Sample) -> Row:
    prompt = tokenizer.encode(render(sample), add_special_tokens=False).ids
    return prompt, tokenizer.encode(sample.completion + IM_END + "\n", add_special_tokens=False).ids


def _pad(rows: list[Row]) -> Batch:
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    token_ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    is_answer = torch.zeros(len(rows), longest, dtype=torch.bool)
    for number, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        token_ids[number, :end] = torch.tensor(prompt + answer)
        is_answer[number, len(prompt) : end] = True
    return Batch(token_ids, is_answer)

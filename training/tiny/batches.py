"""Whole chats as padded batches of token ids, with the assistant's tokens marked."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.tiny.chats.corpus import FIRST_MIX, Mix, Sample, generate
from training.tiny.tokenizer import answers, render

GROUP = 512  # chats that are sorted by length together, so that little is padding
MULTIPLE = 16  # of batch lengths: shapes that come back find their compiled products again
# The batch from which each mix is shown: copying did not come by itself, and some words were learned by heart at first.
_GIVEN = Mix(echo=0.05, tools=0.28, is_varied=True, naming="given", shares=(0.48, 0.24, 0.10, 0.18))
STAGES: tuple[tuple[int, Mix], ...] = (
    (0, FIRST_MIX),
    (1200, Mix(echo=0.35)),
    (3300, Mix(echo=0.06, tools=0.36, is_varied=True, naming="composed")),
    (3800, _GIVEN),
    (4400, replace(_GIVEN, tools=0.36, blind=0.25, modes=("on", "off", "low", "low"))),
    (6000, replace(_GIVEN, tools=0.34, blind=0.25, modes=("on", "off", "low"), shares=(0.50, 0.26, 0.08, 0.16))),
)
Row = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class Batch:
    """token_ids [B, T], padded with 0; is_answer [B, T] marks what the assistant writes, the only targets."""

    token_ids: Tensor
    is_answer: Tensor


def batches(tokenizer: Tokenizer, tokens: int, seed: int, skip: int = 0) -> Iterator[Batch]:
    """Yield batches of up to `tokens` places, without end; `skip` leaves out the first ones, to resume with."""
    for (start, mix), (end, _) in itertools.pairwise((*STAGES, (None, None))):
        stage = _cut(tokenizer, generate(seed, mix), tokens, random.Random(seed))
        if end is None or end > skip:
            length = None if end is None else end - start
            for rows in itertools.islice(stage, max(0, skip - start), length):
                yield _pad(rows)


def _cut(tokenizer: Tokenizer, samples: Iterator[Sample], tokens: int, order: random.Random) -> Iterator[list[Row]]:
    while True:
        chats = [render(sample) for sample in itertools.islice(samples, GROUP)]
        encoded = [encoding.ids for encoding in tokenizer.encode_batch(chats, add_special_tokens=False)]
        rows = sorted(((token_ids, answers(token_ids)) for token_ids in encoded), key=lambda row: len(row[0]))
        cut: list[list[Row]] = [[]]
        for row in rows:
            if cut[-1] and _length(row) * (len(cut[-1]) + 1) > tokens:
                cut.append([])
            cut[-1].append(row)
        order.shuffle(cut)
        yield from cut


def _length(row: Row) -> int:
    return -(-len(row[0]) // MULTIPLE) * MULTIPLE


def _pad(rows: list[Row]) -> Batch:
    longest = max(map(_length, rows))
    token_ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    is_answer = torch.zeros(len(rows), longest, dtype=torch.bool)
    for number, (ids, marks) in enumerate(rows):
        token_ids[number, : len(ids)] = torch.tensor(ids)
        is_answer[number, : len(ids)] = torch.tensor(marks)
    return Batch(token_ids, is_answer)

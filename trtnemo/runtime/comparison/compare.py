"""An engine of plans beside the torch lowering, block by block and token by token.

Block by block, each block gets what the torch lowering computed before it, so that an error shows where it is made.
Token by token, both run on their own, and rows of logits are counted whose most probable token agrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trtnemo.backends import DraftToken, make_batch
from trtnemo.backends.step import Float32
from trtnemo.backends.tensorrt.lower.settings import DECODE_ROWS, Phase
from trtnemo.engine import Engine
from trtnemo.errors import EngineError, MachineError
from trtnemo.memory import free_memory
from trtnemo.recipe import CudaRecipe, TensorrtRecipe
from trtnemo.runtime.comparison.pair import KernelWatch, Pair, PlanWatch, Watched
from trtnemo.runtime.comparison.result import BlockError, Comparison
from trtnemo.runtime.load import load_tokenizer

STEPS, FEW_STEPS = 64, 8  # of plans; of kernels, each of whose programs is interpreted on its own
# What a block may differ by, of its largest number, and the least share of equal tokens. float32 differs in the order
# of sums alone. Where activations are rounded to FP8 or FP4, one at the border of two codes falls to either side, and a
# router at the border of two experts turns to the other: blocks stay near, tokens of a random network need not.
EXACT = (1e-3, 0.995)
ROUNDED = (5e-3, 0.5)
SIXTEEN_BITS = (0.05, 0.5)
_LONGEST, _LONGEST_OF_KERNELS = 200, 40
PROMPTS = (
    "A hybrid keeps a recurrent state for most of its layers and a key-value cache for a few. Explain the difference. ",
    "def merge(left, right):\n    result = []\n    while left and right:\n        result.append(left.pop(0))\n",
    "The three largest cities of the country, with the number of people who live in each of them, are these: ",
)


def compare(
    engine: Engine, prompts: Sequence[str] = PROMPTS, steps: int | None = None, interpret: bool = True
) -> Comparison:
    """Interpret what an engine has for a device, or run it on a GPU, and compare.

    Raises MachineError where the weights would not fit this machine in float32, or a GPU is missing.
    """
    _require_memory(4 * sum(spec.size for spec in engine.checkpoint().tensors.values()))
    if steps is None:
        steps = FEW_STEPS if isinstance(engine.recipe, CudaRecipe) else STEPS
    ids = tokenize(engine, prompts, steps)
    pair = Pair(engine, interpret)
    blocks = _compare_blocks(pair, ids)
    tally = _Tally()
    _prefill(pair, ids, tally)
    _decode(pair, ids, steps, tally)
    return Comparison(
        tuple(sorted(blocks, key=_rank)),
        tally.rows,
        tally.same,
        tally.draft_rows,
        tally.same_drafts,
        tally.difference,
        tally.largest,
        *_limits(engine, interpret),
    )


def _rank(block: BlockError) -> float:
    return -block.relative if math.isfinite(block.relative) else -math.inf


def _limits(engine: Engine, interpret: bool) -> tuple[float, float]:
    """Return what a block may differ by, and the least share of equal tokens."""
    recipe = engine.recipe
    if isinstance(recipe, CudaRecipe):  # products are in bfloat16 on a device
        return EXACT if interpret else SIXTEEN_BITS
    if not isinstance(recipe, TensorrtRecipe):
        raise EngineError("holds nothing for a device to compare", where=str(engine.directory))
    if recipe.tensorrt.matmul_dtype != "float32":
        return SIXTEEN_BITS
    return EXACT if recipe.tensorrt.compute == "weight_only" else ROUNDED


def tokenize(engine: Engine, prompts: Sequence[str], steps: int) -> list[list[int]]:
    """Return a prompt per slot as token ids: long enough for a prefill, short enough for one run of it."""
    tokenizer, limits = load_tokenizer(engine), engine.recipe.limits
    section = getattr(engine.recipe, "tensorrt", None)
    rows = section.prefill_rows if section is not None else _LONGEST
    most = _LONGEST_OF_KERNELS if isinstance(engine.recipe, CudaRecipe) else _LONGEST
    longest = min(most, rows, limits.max_num_tokens, limits.max_seq_len - 2 * steps)
    found = []
    for index, text in enumerate(prompts[: limits.max_batch_size]):
        ids = tokenizer.encode(text)
        while len(ids) < longest:
            ids = ids + ids
        found.append(ids[: max(longest - 7 * index, DECODE_ROWS + 2)])
    return found


class _Tally:
    """Counts of rows that agree."""

    def __init__(self, watch: Watched | None = None) -> None:
        self._watch = watch
        self.rows = self.same = self.draft_rows = self.same_drafts = 0
        self.difference = self.largest = 0.0

    def add(self, made: Float32, expected: Float32, phase: Phase, drafts: bool = False) -> None:
        if self._watch is not None:
            self._watch.note_logits("mtp" if drafts else "target", phase, made, expected)
        same = int((made.argmax(-1) == expected.argmax(-1)).sum())
        if drafts:
            self.draft_rows, self.same_drafts = self.draft_rows + len(made), self.same_drafts + same
        else:
            self.rows, self.same = self.rows + len(made), self.same + same
        difference = float(np.abs(made - expected).max())
        if not difference <= self.difference:  # not a number stays
            self.difference = difference
        self.largest = max(self.largest, float(np.abs(expected).max()))


def _compare_blocks(pair: Pair, ids: Sequence[Sequence[int]]) -> list[BlockError]:
    kind = KernelWatch if isinstance(pair.engine.recipe, CudaRecipe) else PlanWatch
    with kind(pair) as watch:
        tally = _Tally(watch)
        _prefill(pair, ids, tally)
        _decode(pair, ids, 4, tally)
    pair.release(range(len(ids)))
    return list(watch.errors.values())


def _prefill(pair: Pair, ids: Sequence[Sequence[int]], tally: _Tally) -> None:
    for slot, prompt in enumerate(ids):
        made, expected = pair.forward(make_batch([(slot, 0, list(prompt), False)]), "prefill")
        tally.add(made.logits, expected.logits, "prefill")


def _decode(pair: Pair, ids: Sequence[Sequence[int]], steps: int, tally: _Tally) -> None:
    """Feed every slot the reference's greedy tokens; every other step verifies drafts and keeps all but the last."""
    lengths, tokens = [len(prompt) for prompt in ids], [prompt[0] for prompt in ids]
    for step in range(steps):
        verifies = pair.drafts > 0 and step % 2 == 1
        rows = [[token] for token in tokens]
        if verifies:
            drafted, expected_drafts = pair.draft([DraftToken(slot, token) for slot, token in enumerate(tokens)])
            tally.add(drafted, expected_drafts, "decode", drafts=True)
            rows = [[token, *map(int, ids[slot][: pair.drafts])] for slot, token in enumerate(tokens)]
        parts = [(slot, lengths[slot], row, verifies) for slot, row in enumerate(rows)]
        made, expected = pair.forward(make_batch(parts), "decode")
        tally.add(made.logits, expected.logits, "decode")
        tops, start = expected.logits.argmax(-1), 0
        for slot, row in enumerate(rows):
            kept = max(len(row) - 1, 1) if verifies else 1
            if verifies:
                pair.commit(slot, kept)
            lengths[slot] += kept
            tokens[slot] = int(tops[start + kept - 1])
            start += len(row)


def _require_memory(needed: int) -> None:
    have = free_memory()
    if needed > have:
        raise MachineError(
            f"interpreting needs the weights in float32, up to {needed:,} bytes; {have:,} are free",
            remedy="Interpret a smaller model of the family: the same networks are written for it",
        )

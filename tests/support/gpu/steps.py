"""Whole steps at full width over random weights, made on the device: seconds, tokens, bytes, and bits beside a batch.

Random routers spread tokens over the experts evenly; a real one touches fewer, so steps of several sequences come out
slower here than with the released weights.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch

from trtnemo.backends import Budget, Draw, Proposal, StepBatch, make_batch
from trtnemo.checkpoint import WeightFormat

ACCEPTED = (3, 3, 2)  # tokens that a verification commits in turn: 2.67, as the model card's acceptance gives


def random_executor(name: str, device: torch.device, settings: tuple[str, ...]) -> Any:
    """Return an executor of a recipe's network with random weights on a device."""
    from trtnemo.backends.cuda.make import make_executor
    from trtnemo.backends.cuda.runtime import limits_of
    from trtnemo.backends.cuda.weights import empty_weights
    from trtnemo.kernels.outside.launchers import launcher_for
    from trtnemo.network import NemotronH
    from trtnemo.network.context import BuildContext
    from trtnemo.plan.network import find_network
    from trtnemo.recipe import CudaRecipe, load_recipe

    recipe = load_recipe(name, settings)
    if not isinstance(recipe, CudaRecipe):
        raise TypeError(name)
    network, limits = find_network(recipe.checkpoint), limits_of(recipe)
    model = NemotronH(BuildContext(network.config, network.quantization, "weight_only"))
    graphs = [model.record_target(), *([model.record_mtp()] if limits.draft_tokens else [])]
    weights = empty_weights(graphs, device, fp8_drafts=limits.fp8_drafts)
    for packed in weights.packed.values():
        _fill(packed)
    for name, vector in weights.vectors.items():
        vector.copy_(torch.randn_like(vector) * 0.02 + (1.0 if "norm" in name else 0.0))
    vocabulary = graphs[0].values[graphs[0].outputs["logits"]].width
    budget = Budget(limits.slots, limits.max_seq_len, limits.max_num_tokens, limits.draft_tokens, vocabulary)
    return make_executor(graphs, weights, launcher_for(device), limits, budget)


def _fill(packed: Any) -> None:
    """Write random codes whose rows come out near 1."""
    if packed.format is WeightFormat.PLAIN:
        for part in packed.words if packed.words.ndim == 3 else [packed.words]:
            part.copy_(torch.randn(part.shape, device=part.device) * packed.width**-0.5)
        packed.scale.fill_(1.0)
        return
    packed.words.random_(-(2**31), 2**31 - 1)
    if packed.format is WeightFormat.FP8:
        packed.words.bitwise_and_(-0x08080809)  # no exponent of no number: bit 3 of each code is 0
        packed.scale.fill_(packed.width**-0.5 / 60)
    else:
        packed.scales.random_(0x30, 0x40)
        packed.scale.fill_(packed.width**-0.5 / 3)


def decode_seconds(executor: Any, sequences: int, steps: int) -> float:
    """Return the median seconds of a step that decodes a token of each sequence, drawn on the device."""
    position, taken = _prompts(executor, sequences), []
    tokens = [5] * sequences
    for _ in range(steps):
        batch = make_batch([(slot, position, [token], False) for slot, token in enumerate(tokens)])
        told = StepBatch(batch.token_ids, batch.segments, batch.logit_rows, batch.hidden_rows, (Draw(),) * sequences)
        started = time.perf_counter()
        tokens = [row for row in executor.forward(told).rows() if isinstance(row, int)]
        taken.append(time.perf_counter() - started)
        position += 1
    _release(executor, sequences)
    return statistics.median(taken[2:] or taken)  # the first ones compile and capture


def drafted_seconds(executor: Any, sequences: int, rounds: int) -> float:
    """Return the median seconds of a round with three drafts, and acceptance forced to 2.67 tokens a round."""
    first, taken = _prompts(executor, sequences), []
    positions = [first] * sequences
    for number in range(rounds):
        started = time.perf_counter()
        drafts = executor.propose([Proposal(slot, 5, (Draw(),) * 3) for slot in range(sequences)])
        parts = [(slot, positions[slot], [5, *drafts[slot]], True) for slot in range(sequences)]
        batch = make_batch(parts)
        draws = (Draw(),) * (4 * sequences)
        executor.forward(StepBatch(batch.token_ids, batch.segments, batch.logit_rows, batch.hidden_rows, draws))
        for slot in range(sequences):
            executor.commit(slot, ACCEPTED[number % 3])
            positions[slot] += ACCEPTED[number % 3]
        taken.append(time.perf_counter() - started)
    _release(executor, sequences)
    return statistics.median(taken[3:] or taken)


def same_bits(executor: Any, count: int) -> bool:
    """Return whether so many sequences of as many tokens get the same logits together as each gets alone."""
    ids = np.random.default_rng(0).integers(0, executor.budget.vocab_size, (count, count)).tolist()
    together = executor.forward(make_batch([(slot, 0, ids[slot], False) for slot in range(count)])).logits
    _release(executor, count)
    alone = [executor.forward(make_batch([(slot, 0, ids[slot], False)])).logits for slot in range(count)]
    _release(executor, count)
    return bool(np.array_equal(together, np.concatenate(alone)))


def read_bytes(executor: Any, tokens: int, sequences: int) -> int:
    """Return the bytes that a step of the target reads and writes: weights, experts as random routers pick, states."""
    states: int = sum(
        2 * state.ssm_state[0].nbytes for state in executor.runner.states.values() if hasattr(state, "ssm_state")
    )
    return _weights(executor, executor.target, tokens) + sequences * states


def bound_of_drafts(executor: Any) -> float:
    """Return how much faster bytes alone let three drafts be, where 2.67 tokens of a round are accepted."""
    drafted = read_bytes(executor, 4, 1) + 3 * _weights(executor, executor.mtp, 1)
    return sum(ACCEPTED) / len(ACCEPTED) * read_bytes(executor, 1, 1) / drafted


def _weights(executor: Any, graph: Any, tokens: int) -> int:
    picking = [node for node in graph.nodes if hasattr(node.op, "top_k")]
    picks = {name: node.op.top_k for node in picking for name in node.parameters.values()}
    total, seen = 0.0, set()
    for name, spec in graph.parameters.items():
        packed = executor.runner.weights.packed.get(f"{graph.name}:{name}") or executor.runner.weights.packed.get(name)
        if packed is None or name in seen:
            continue  # of several beside each other the first one has all of them
        seen.add(name)
        part = 1.0 if not spec.copies else 1 - (1 - picks[name] / spec.copies) ** tokens
        total += packed.nbytes * part
    return round(total)


def _prompts(executor: Any, sequences: int) -> int:
    ids = np.random.default_rng(1).integers(0, executor.budget.vocab_size, 12).tolist()
    for slot in range(sequences):
        executor.forward(make_batch([(slot, 0, ids, False)], logit_rows=[11]))
    return 12


def _release(executor: Any, sequences: int) -> None:
    for slot in range(sequences):
        executor.release(slot)

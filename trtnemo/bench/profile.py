"""Where the time of a decoded and of a prefilled token goes, op by op, against the bytes and products that it needs."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trtnemo.backends import Budget, make_batch
from trtnemo.backends.cpu.executor import CpuExecutor
from trtnemo.backends.cpu.packed import PackedIndex, read_index
from trtnemo.backends.cpu.precision import Precision
from trtnemo.engine import Engine
from trtnemo.errors import MachineError
from trtnemo.graph import ROWS, DType, Node
from trtnemo.graph.ops import Embedding
from trtnemo.native import require_native
from trtnemo.runtime import load_executor

_LAYER = re.compile(r"\.\d+\.")
# Prompts, each after a measurement of the machine's rates: one alone may meet another program, or a slower clock.
_ROUNDS = 5
_BURSTS = 3


@dataclass(frozen=True)
class OpCost:
    """All ops of one name, layer numbers left out.

    seconds, bytes (weights and states read, states written) and products (multiply-adds) of one token; least: the
    seconds that the products alone would take at the machine's own rates.
    """

    name: str
    ops: int
    seconds: float
    bytes: int
    products: int
    least: float


@dataclass(frozen=True)
class ProductRates:
    """Multiply-adds a second of all threads, operands in registers; bfloat16: 0 where there is no such instruction."""

    bytes: float
    float32: float
    bfloat16: float

    def least_seconds(self, node: Node, index: PackedIndex, precision: Precision) -> float:
        """Return what a node's products of one token take at least.

        NVFP4 weights meet whole numbers, two bytes each where activations have 16 bits; every byte product counts.
        """
        formats = {index.tensor(node.parameters[role]).format for role in node.op.matrix_roles}
        products = node.op.products()
        if "nvfp4" in formats:
            return products * (2 if precision.has_wide_activations else 1) / self.bytes
        return products / (self.bfloat16 if "bfloat16" in formats and self.bfloat16 else self.float32)


@dataclass(frozen=True)
class Profile:
    """Costs of a decoded token and of a token of a prompt, most time first; bandwidth in bytes a second.

    Rates are medians of rounds that measure them and a prompt in turn; the prompt is that of the middle round.
    """

    kernels: str
    threads: int
    bandwidth: float
    rates: ProductRates
    decode: tuple[OpCost, ...]
    prefill: tuple[OpCost, ...]


def profile_engine(engine: Engine, prompt: int = 512, tokens: int = 64) -> Profile:
    """Measure an engine's native executor; raises MachineError on engines that run elsewhere."""
    executor = load_executor(engine)
    if not isinstance(executor, CpuExecutor):
        raise MachineError("only engines with packed weights are profiled", where=str(engine.directory))
    prompt = fitting_prompt(executor.budget, prompt, tokens, engine)
    ids = np.random.default_rng(0).integers(0, executor.budget.vocab_size, prompt).tolist()
    index = read_index(engine.weights_directory)

    def prefill() -> int:
        executor.release(0)
        executor.forward(make_batch([(0, 0, ids, False)], [prompt - 1]))
        return prompt

    def decode() -> int:
        for number in range(tokens):
            executor.forward(make_batch([(0, prompt + number, [ids[0]], False)]))
        return tokens

    prefill()  # the first step touches memory for the first time
    native = require_native()
    found, prefilled = [], []
    for _ in range(_ROUNDS):
        found.append(native.measure_products(executor.kernels, executor.threads, _BURSTS))
        prefilled.append(_node_seconds(executor, prefill))
    rates = ProductRates(*map(statistics.median, zip(*found, strict=True)))
    decoded = _node_seconds(executor, decode)
    bandwidth = native.measure_bandwidth(256 << 20, executor.threads, 3)
    middle = sorted(prefilled, key=sum)[_ROUNDS // 2]
    return Profile(
        executor.kernels,
        executor.threads,
        bandwidth,
        rates,
        _costs(executor, decoded, index, rates, share=1),
        _costs(executor, middle, index, rates, share=prompt),
    )


def fitting_prompt(budget: Budget, prompt: int, tokens: int, engine: Engine) -> int:
    """Return the tokens of a prompt that fit a step and a context; raises MachineError where none do."""
    fitting = min(prompt, budget.max_num_tokens, budget.max_seq_len - tokens)
    if fitting < 1:
        raise MachineError(
            f"{tokens} tokens after a prompt do not fit a context of {budget.max_seq_len}",
            where=str(engine.directory),
            remedy="Give fewer --tokens",
        )
    return fitting


def _node_seconds(executor: CpuExecutor, run: Callable[[], int]) -> list[float]:
    """Return the seconds a token of each op of the target network, while `run` runs as many tokens as it returns."""
    before = executor.seconds()
    executor.times_ops(True)
    tokens = run()
    executor.times_ops(False)
    return [(seconds - earlier) / tokens for seconds, earlier in zip(executor.seconds(), before, strict=True)]


def _costs(
    executor: CpuExecutor, seconds: Sequence[float], index: PackedIndex, rates: ProductRates, share: int
) -> tuple[OpCost, ...]:
    groups: dict[str, list[tuple[float, int, int, float]]] = {}
    for node, taken in zip(executor.target.nodes, seconds, strict=True):
        # one row of a prompt alone is wanted as logits
        runs = share if executor.target.values[node.output].shape[0] == ROWS else 1
        cost = (
            taken,
            weight_bytes(node, index, share) + state_bytes(node, executor.precision.state_itemsize) // share,
            node.op.products() // runs,
            rates.least_seconds(node, index, executor.precision) / runs,
        )
        groups.setdefault(_LAYER.sub(".*.", node.name), []).append(cost)
    costs = [
        OpCost(name, len(group), *(sum(column) for column in zip(*group, strict=True)))
        for name, group in groups.items()
    ]
    return tuple(sorted(costs, key=lambda cost: -cost.seconds))


def weight_bytes(node: Node, index: PackedIndex, share: int) -> int:
    """Return the bytes of weights that one token costs where `share` tokens of a step read them together.

    Experts count as if each token picked its own by chance.
    """
    op, total = node.op, 0
    for role, name in node.parameters.items():
        tensor = index.tensor(name)
        if tensor.form == "tiles" and not isinstance(op, Embedding):
            used = 1.0
            if op.routed is not None and role in op.matrix_roles:
                copies, read = op.routed
                used = copies * (1 - (1 - read / copies) ** share)
            total += round(used * tensor.stride / share)
    return total


def state_bytes(node: Node, itemsize: int = 4) -> int:
    """Return the bytes of recurrent state read and written once."""
    states = [state for state in node.op.states() if not state.per_token and state.dtype is DType.FLOAT32]
    return sum(2 * itemsize * math.prod(state.shape) for state in states)

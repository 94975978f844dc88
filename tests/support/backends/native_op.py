"""One plugin op in the native executor, its inputs handed in as rows of embedding tables."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trtnemo.backends import Budget, make_batch
from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.cpu.precision import Precision
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.graph import ROWS, TOKENS, DType, Graph, ParameterSpec, ValueType, recording
from trtnemo.graph.ops import Embedding
from trtnemo.network import functional


class Tensors:
    """Tensors by name, as packing reads a checkpoint; torch's become float32."""

    def __init__(self, tensors: dict[str, torch.Tensor | RawTensor]) -> None:
        self.values = {name: value if isinstance(value, RawTensor) else plain(value) for name, value in tensors.items()}
        self.total_bytes = sum(value.data.nbytes for value in self.values.values())

    def read(self, name: str) -> RawTensor:
        return self.values[name]


def plain(value: torch.Tensor) -> RawTensor:
    """Return a tensor's float32 values."""
    return RawTensor(StorageType.F32, np.ascontiguousarray(value.float().numpy()))


def single(name: str, value: torch.Tensor) -> tuple[ParameterSpec, dict[str, torch.Tensor | RawTensor]]:
    """Return a parameter that is one tensor, with its values, as `run_native` takes them by role."""
    return ParameterSpec(name=name, shape=tuple(value.shape)), {name: value}


def record(op: Any, inputs: list[torch.Tensor], specs: dict[str, ParameterSpec]) -> Graph:
    """Return a graph whose token t reads row t of every input."""
    with recording("target") as recorder:
        token_ids = recorder.input("token_ids", ValueType(dtype=DType.INT64, shape=(TOKENS,)))
        rows = recorder.input("logit_rows", ValueType(dtype=DType.INT64, shape=(ROWS,)))
        values = []
        for number, table in enumerate(inputs):
            spec = ParameterSpec(name=f"input.{number}", shape=tuple(table.shape))
            made = Embedding(vocabulary=len(table), width=table.shape[1], dtype=DType.FLOAT32)
            values.append(recorder.record(f"input{number}", made, [token_ids], {"weight": spec}))
        output = recorder.record("op", op, values, specs)
        return recorder.finish({"hidden_states": output, "logits": functional.select_rows("rows", output, rows)})


def run_native(
    op: Any,
    inputs: list[torch.Tensor],
    parameters: dict[str, tuple[ParameterSpec, dict[str, torch.Tensor | RawTensor]]],
    cuts: Any,
    **precision: Any,
) -> torch.Tensor:
    """Return the op's output for all rows, fed as one sequence cut at `cuts`."""
    specs = {role: spec for role, (spec, _) in parameters.items()}
    tensors = {name: value for _, members in parameters.values() for name, value in members.items()}
    tensors |= {f"input.{number}": table for number, table in enumerate(inputs)}
    graph, count = record(op, inputs, specs), len(inputs[0])
    with tempfile.TemporaryDirectory() as directory:
        index = pack_weights(Tensors(tensors), [graph], Path(directory), lambda *_: None)
        budget = Budget(1, count, count, 0, count)
        options = CpuOptions(2, count, Precision(**{"kv_cache": "float32", **precision}))
        executor = CpuExecutor(Path(directory), index, graph, None, budget, options)
    outputs, start = [], 0
    for end in (*(min(cut, count) for cut in cuts), count):
        if end > start:
            result = executor.forward(make_batch([(0, start, list(range(start, end)), False)]))
            outputs.append(torch.from_numpy(result.logits))
            start = end
    return torch.cat(outputs)

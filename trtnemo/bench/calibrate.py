"""The CPU of this machine as our kernels reach it: what a plan's bound stands on, measured in about three seconds."""

from __future__ import annotations

import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from trtnemo.backends import Budget, make_batch
from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.checkpoint import WeightFormat
from trtnemo.checkpoint.format.codecs import encode_bfloat16
from trtnemo.checkpoint.format.storage import RawTensor, StorageType
from trtnemo.graph import ROWS, TOKENS, DType, Graph, ParameterSpec, ValueType, recording
from trtnemo.native import find_native
from trtnemo.network import functional
from trtnemo.plan.hardware import Device, cpu_device, this_cpu
from trtnemo.processors import usable_processors

_READ_BYTES = 512 << 20
_WIDTH, _TOKENS, _VOCABULARY = 1024, 256, 16
_SECONDS = 0.7  # of each format
_FORMATS = {"bf16": WeightFormat.PLAIN, "fp8": WeightFormat.FP8, "fp4": WeightFormat.NVFP4}


@lru_cache(maxsize=1)
def calibrated_cpu() -> Device:
    """Return this machine: bandwidth of threads that only read, and products a second of each weight format's kernels.

    Without native kernels that is what numpy reaches.
    """
    native = find_native()
    if native is None:
        return this_cpu()
    threads = usable_processors()
    bandwidth = native.measure_bandwidth(_READ_BYTES, threads, 8) / 1e9
    rates = {unit: _operations_per_second(format, threads) / 1e12 for unit, format in _FORMATS.items()}
    reached = "bandwidth and products as the native kernels reach them"
    return cpu_device(reached, bandwidth_gbs=bandwidth, **rates)


class _RandomWeights:
    """A table and one square matrix, as packing reads a checkpoint."""

    def __init__(self, format: WeightFormat) -> None:
        random = np.random.default_rng(0)
        codes = random.integers(0, 120, (_WIDTH, _WIDTH), np.uint8)
        one = RawTensor(StorageType.F32, np.ones((), np.float32))
        rows = random.standard_normal((_WIDTH, _WIDTH)).astype(np.float32)
        table = random.standard_normal((_VOCABULARY, _WIDTH)).astype(np.float32)
        self._tensors = {
            "table.weight": RawTensor(StorageType.F32, table),
            "op.weight": {
                WeightFormat.PLAIN: RawTensor(StorageType.BF16, encode_bfloat16(rows)),
                WeightFormat.FP8: RawTensor(StorageType.F8_E4M3, codes),
                WeightFormat.NVFP4: RawTensor(StorageType.U8, codes[:, : _WIDTH // 2]),
            }[format],
            "op.weight_scale": RawTensor(StorageType.F8_E4M3, codes[:, : _WIDTH // 16])
            if format is WeightFormat.NVFP4
            else one,
            "op.weight_scale_2": one,
        }

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.data.nbytes for tensor in self._tensors.values())

    def read(self, name: str) -> RawTensor:
        """Return a tensor."""
        return self._tensors[name]


def _operations_per_second(format: WeightFormat, threads: int) -> float:
    """Return what one product of many tokens reaches, best of several; a multiply and an add are two operations."""
    graph = _one_product(format)
    with tempfile.TemporaryDirectory() as directory:
        index = pack_weights(_RandomWeights(format), [graph], Path(directory), lambda *_: None)
        budget = Budget(1, _TOKENS, _TOKENS, 0, _VOCABULARY)
        executor = CpuExecutor(Path(directory), index, graph, None, budget, CpuOptions(threads, 0))
    step = make_batch([(0, 0, [number % _VOCABULARY for number in range(_TOKENS)], False)], logit_rows=[0])
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        executor.forward(step)
        best = min(best, time.perf_counter() - started)
        executor.release(0)
    return 2 * _WIDTH * _WIDTH * _TOKENS / best


def _one_product(format: WeightFormat) -> Graph:
    table = ParameterSpec(name="table.weight", shape=(_VOCABULARY, _WIDTH))
    weight = ParameterSpec(name="op.weight", shape=(_WIDTH, _WIDTH), format=format)
    with recording("target") as recorder:
        token_ids = recorder.input("token_ids", ValueType(dtype=DType.INT64, shape=(TOKENS,)))
        rows = recorder.input("logit_rows", ValueType(dtype=DType.INT64, shape=(ROWS,)))
        hidden = functional.embedding("table", token_ids, table, DType.FLOAT32)
        output = functional.linear("op", hidden, weight, "weight_only", DType.FLOAT32)
        return recorder.finish({"hidden_states": output, "logits": functional.select_rows("rows", output, rows)})

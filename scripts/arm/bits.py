"""Digests of what the native kernels compute, for every form of them that this machine runs; torch is not needed.

usage: python -m scripts.arm.bits CHECKPOINT [CHECKPOINT ...]      (prints a JSON object: form, then what, then digest)
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np

from trtnemo import _native
from trtnemo.backends import Budget, DraftToken, make_batch
from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
from trtnemo.backends.cpu.packing import pack_weights
from trtnemo.backends.cpu.precision import Precision
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.format.codecs import encode_bfloat16
from trtnemo.checkpoint.format.encoder import Search, encode_fp8, encode_nvfp4, largest_magnitude
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.native import FORCED
from trtnemo.network import NemotronH

PRECISIONS = {
    "int16": Precision(activations="int16", kv_cache="float32"),
    "int8, float16 caches and states": Precision(activations="int8", kv_cache="float16", ssm_state="float16"),
}


def of_network(directory: Path, precision: Precision) -> str:
    """Return the digest of logits: two prompts, tokens that follow them, and drafts that are verified."""
    checkpoint = Checkpoint.open(directory)
    model = NemotronH.from_checkpoint(checkpoint)
    graphs = [model.record_target(), *([model.record_mtp()] if checkpoint.config.has_mtp else [])]
    with tempfile.TemporaryDirectory() as packed:
        index = pack_weights(checkpoint, graphs, Path(packed), lambda *_: None)
        budget = Budget(2, 256, 256, 4, checkpoint.config.vocab_size)
        head = graphs[1] if len(graphs) > 1 else None
        executor = CpuExecutor(Path(packed), index, graphs[0], head, budget, CpuOptions(2, 512, precision))
    digest, draw = hashlib.sha256(), np.random.default_rng(1)
    prompts = [draw.integers(0, checkpoint.config.vocab_size, size).tolist() for size in (37, 70)]
    parts = [(slot, 0, prompt, False) for slot, prompt in enumerate(prompts)]
    digest.update(executor.forward(make_batch(parts)).logits.tobytes())
    for step in range(4):
        tokens = draw.integers(0, checkpoint.config.vocab_size, 2).tolist()
        parts = [(slot, len(prompts[slot]) + step, [tokens[slot]], False) for slot in (0, 1)]
        digest.update(executor.forward(make_batch(parts)).logits.tobytes())
    if head is not None:
        for _ in range(3):
            digest.update(executor.draft([DraftToken(0, 7), DraftToken(1, 9)]).tobytes())
        digest.update(executor.forward(make_batch([(0, len(prompts[0]) + 4, [7, 8, 9], True)])).logits.tobytes())
        executor.commit(0, 2)
        digest.update(executor.draft([DraftToken(0, 11)]).tobytes())
    return digest.hexdigest()[:16]


def of_weights(form: str) -> dict[str, str]:
    """Return digests of codes, scales and scans of numbers over a great range, subnormal ones among them."""
    draw = np.random.default_rng(2)
    values = (draw.standard_normal(1 << 14) * 10.0 ** draw.integers(-40, 4, 1 << 14)).astype(np.float32)
    plain = {
        StorageType.BF16: encode_bfloat16(values).view(np.uint8),
        StorageType.F16: np.clip(values, -6e4, 6e4).astype(np.float16).view(np.uint8),
        StorageType.F32: values.view(np.uint8),
    }
    found: dict[str, str] = {}
    for storage, data in plain.items():
        largest = largest_magnitude(data, storage)
        codes, scales = np.empty(len(values), np.uint8), np.empty(len(values) // 16, np.uint8)
        encode_fp8(data, storage, np.float32(largest / 448), codes)
        found[f"{storage.value} to FP8"] = _hash(codes.tobytes(), np.float32(largest).tobytes())
        for search in get_args(Search):
            packed = np.empty(len(values) // 2, np.uint8)
            encode_nvfp4(data, storage, np.float32(largest / 2688), packed, scales, search)
            found[f"{storage.value} to NVFP4, {search}"] = _hash(packed.tobytes(), scales.tobytes())
        told = _native.scan_numbers(data, storage.value, 128, form)
        found[f"{storage.value}, scanned"] = _hash(json.dumps(told, sort_keys=True).encode())
    counts = np.zeros(256, np.uint64)
    codes = draw.integers(0, 256, 1 << 14, np.uint8)
    told = _native.scan_codes(codes, 128, 0x77, counts, form)
    found["codes, scanned"] = _hash(json.dumps(told, sort_keys=True).encode(), counts.tobytes())
    return found


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def digests(checkpoints: list[Path]) -> dict[str, dict[str, str]]:
    """Return every digest by form."""
    found: dict[str, dict[str, Any]] = {}
    for form in _native.kernel_names():
        os.environ[FORCED] = form
        found[form] = of_weights(form)
        for place in checkpoints:
            for name, precision in PRECISIONS.items():
                found[form][f"{place.name}, {name}"] = of_network(place, precision)
    return found


if __name__ == "__main__":
    print(json.dumps(digests([Path(word) for word in sys.argv[1:]])))

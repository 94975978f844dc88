"""`trtnemo quantize --calibrate`: scales of inputs by running the network over texts."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trtnemo.cli.views.progress import point_progress
from trtnemo.cli.weights.texts import read_texts, tokenize
from trtnemo.errors import MachineError

if TYPE_CHECKING:
    from trtnemo.checkpoint import Checkpoint, QuantizationMap
    from trtnemo.checkpoint.rewrite.quantizing.scalars import Scalars


def calibrated_scalars(checkpoint: Checkpoint, target: QuantizationMap, file: Path, most: int) -> tuple[Scalars, str]:
    """Return the scales that a map asks for, and a sentence on what they were calibrated on.

    most: tokens in all. Raises CheckpointError, UsageError, and MachineError without torch.
    """
    if importlib.util.find_spec("torch") is None:
        raise MachineError("--calibrate needs torch", remedy="pip install 'trtnemo[torch]'")
    texts = read_texts(file)
    ids = tokenize(checkpoint.directory, texts, checkpoint.config.vocab_size, most)
    from trtnemo.backends.torch.streamed.calibrate import calibrate
    from trtnemo.checkpoint.rewrite.quantizing.scalars import scalars_of

    start = time.monotonic()
    with point_progress() as report:
        done = calibrate(checkpoint, ids, report)
    said = f"Calibrated on {done.tokens:,} tokens of {done.texts} texts"
    left = f" ({len(texts) - done.texts} were left out)" if len(texts) > done.texts else ""
    origin = f"calibrated on {done.tokens:,} tokens of {done.texts} texts"
    scalars = scalars_of(checkpoint.config, target, done.inputs, done.cached, origin)
    return scalars, f"{said}{left} in {time.monotonic() - start:.0f} s."

"""From an engine directory to a running executor."""

from __future__ import annotations

import os

from trtnemo.engine import Engine
from trtnemo.errors import MachineError, UsageError
from trtnemo.lowering import Budget, Executor
from trtnemo.text import TextTokenizer


def load_executor(engine: Engine, *, interpret: bool = False) -> Executor:
    """Return the executor of an engine, weights loaded; raises MachineError when torch or a GPU is missing.

    `interpret` runs TensorRT plans layer by layer in torch, on the CPU.
    """
    is_tensorrt = engine.manifest.runtime == "tensorrt"
    if interpret and not is_tensorrt:
        raise UsageError("holds no TensorRT plans to interpret", where=str(engine.directory))
    try:
        import torch
    except ImportError as error:
        raise MachineError(
            f"this engine runs in torch, which is not installed ({error.name})", remedy="pip install 'trtnemo[torch]'"
        ) from None
    section = getattr(engine.recipe, "cpu", None)
    torch.set_num_threads((section and section.threads) or len(os.sched_getaffinity(0)))
    if is_tensorrt:
        from trtnemo.runtime.tensorrt.load import load_tensorrt

        return load_tensorrt(engine, budget_of(engine), interpret)
    from trtnemo.lowering.torch import TorchExecutor, load_weights

    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    return TorchExecutor(engine.target, engine.drafter, load_weights(engine.checkpoint(), *graphs), budget_of(engine))


def budget_of(engine: Engine) -> Budget:
    """Return what an engine's recipe leaves room for."""
    limits = engine.recipe.limits
    return Budget(
        slots=limits.max_batch_size,
        max_seq_len=limits.max_seq_len,
        max_num_tokens=max(limits.max_num_tokens, limits.max_batch_size),
        max_draft_tokens=engine.recipe.speculation.draft_tokens if engine.drafter else 0,
        vocab_size=engine.checkpoint().config.vocab_size,
    )


def load_tokenizer(engine: Engine) -> TextTokenizer:
    """Return the engine's tokenizer, stop tokens included."""
    return TextTokenizer(engine.tokenizer_directory, engine.checkpoint().raw_config.get("eos_token_id"))

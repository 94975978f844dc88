"""From an engine directory to a running executor."""

from __future__ import annotations

import os

from trtnemo.engine import Engine
from trtnemo.errors import MachineError
from trtnemo.lowering import Budget, Executor
from trtnemo.text import TextTokenizer


def load_executor(engine: Engine) -> Executor:
    """Return the executor of an engine, weights loaded; raises MachineError when torch is missing."""
    try:
        import torch

        from trtnemo.lowering.torch import TorchExecutor, load_weights
    except ImportError as error:
        raise MachineError(
            f"this engine runs in torch, which is not installed ({error.name})", remedy="pip install 'trtnemo[torch]'"
        ) from None
    section = getattr(engine.recipe, "cpu", None)
    torch.set_num_threads((section and section.threads) or len(os.sched_getaffinity(0)))
    graphs = [graph for graph in (engine.target, engine.mtp) if graph is not None]
    # Without drafting the MTP head stays on disk: its cache would cost a second pass over every prompt.
    is_drafting = engine.recipe.speculation.draft_tokens > 0
    mtp = engine.mtp if is_drafting else None
    checkpoint = engine.checkpoint()
    limits = engine.recipe.limits
    budget = Budget(
        slots=limits.max_batch_size,
        max_seq_len=limits.max_seq_len,
        max_num_tokens=max(limits.max_num_tokens, limits.max_batch_size),
        max_draft_tokens=engine.recipe.speculation.draft_tokens if mtp else 0,
        vocab_size=checkpoint.config.vocab_size,
    )
    return TorchExecutor(engine.target, mtp, load_weights(checkpoint, *(graphs if mtp else graphs[:1])), budget)


def load_tokenizer(engine: Engine) -> TextTokenizer:
    """Return the engine's tokenizer, stop tokens included."""
    return TextTokenizer(engine.tokenizer_directory, engine.checkpoint().raw_config.get("eos_token_id"))

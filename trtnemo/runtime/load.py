"""From an engine directory to a running executor."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace

from trtnemo.backends import Budget, Executor
from trtnemo.backends.runtime import find_runtime
from trtnemo.engine import Engine
from trtnemo.errors import EngineError, MachineError, UsageError
from trtnemo.files.digest import code_digest
from trtnemo.processors import usable_processors
from trtnemo.recipe import CpuRecipe, CudaRecipe, OwnRecipe
from trtnemo.recipe.runtimes import CpuSection, CudaSection
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.options import LoopOptions, PrefixPlace
from trtnemo.text import TextTokenizer

logger = logging.getLogger(__name__)


def load_executor(engine: Engine, *, interpret: bool = False) -> Executor:
    """Return the executor of an engine, weights loaded; raises MachineError when torch or a GPU is missing.

    `interpret` computes on the CPU what is made for a device: TensorRT plans layer by layer, CUDA kernels in numpy.
    """
    runtime = engine.manifest.runtime
    if interpret and not find_runtime(runtime).interprets:
        raise UsageError("holds nothing for a device that could be interpreted", where=str(engine.directory))
    if engine.is_packed:
        return _load_native(engine)
    _refuse_mapping(engine)
    try:
        import torch
    except ImportError as error:
        raise MachineError(
            f"this engine runs in torch, which is not installed ({error.name})", remedy="pip install 'trtnemo[torch]'"
        ) from None
    torch.set_num_threads(_threads(engine))
    if runtime == "cuda":
        from trtnemo.runtime.load_cuda import load_cuda

        return load_cuda(engine, budget_of(engine), interpret)
    if runtime == "tensorrt":
        from trtnemo.runtime.load_tensorrt import load_tensorrt

        return load_tensorrt(engine, budget_of(engine), interpret)
    from trtnemo.backends.torch import TorchExecutor, load_weights

    graphs = [engine.target, *([engine.drafter] if engine.drafter else [])]
    return TorchExecutor(engine.target, engine.drafter, load_weights(engine.checkpoint(), *graphs), budget_of(engine))


def _load_native(engine: Engine) -> Executor:
    from trtnemo.backends.cpu.executor import CpuExecutor, CpuOptions
    from trtnemo.backends.cpu.packed import read_index
    from trtnemo.backends.cpu.precision import Precision

    recipe, budget = engine.recipe, budget_of(engine)
    if not isinstance(recipe, CpuRecipe):
        raise EngineError("packed weights are for runtime 'cpu'", where=str(engine.directory))
    options = CpuOptions(
        threads=_threads(engine),
        kv_tokens=recipe.cpu.kv_tokens or budget.slots * budget.max_seq_len,
        precision=Precision.from_recipe(recipe),
        lock_memory=recipe.cpu.lock_memory,
        huge_pages=recipe.cpu.huge_pages,
    )
    directory = engine.weights_directory
    return CpuExecutor(directory, read_index(directory), engine.target, engine.drafter, budget, options)


def _refuse_mapping(engine: Engine) -> None:
    """Raise UsageError where an engine that maps no packed weights is asked to lock them, or for huge pages."""
    section = getattr(engine.recipe, "cpu", None)
    asked = [name for name in ("lock_memory", "huge_pages") if getattr(section, name, False)]
    if asked:
        raise UsageError(
            f"'cpu.{asked[0]}' is for packed weights, and this engine runs in torch",
            where=str(engine.directory),
            remedy="Leave it out, or build the engine with 'cpu.lowering' native",
        )


def _threads(engine: Engine) -> int:
    section, usable = getattr(engine.recipe, "cpu", None), usable_processors()
    asked: int | None = section and section.threads
    if asked is not None and asked > usable:
        logger.warning("cpu.threads is %d, and this process may use %d at once: threads wait for each other",
                       asked, usable)  # fmt: skip
    return asked or usable


def loop_options(engine: Engine, place: PrefixPlace | None = None) -> LoopOptions:
    """Return how an engine's recipe wants sequences to be scheduled; `place` is for states of prompts on disk.

    Raises UsageError where an engine keeps none there.
    """
    recipe = engine.recipe
    if not isinstance(recipe, OwnRecipe):
        raise EngineError(f"runtime '{recipe.runtime}' is not our own", where=str(engine.directory))
    drafts, adapts = recipe.speculation.draft_tokens, recipe.speculation.adaptive
    section = _section(recipe)
    if place is not None:
        place = replace(place, engine=_state_digest(engine))
    return LoopOptions(drafts, adapts, 0 if section is None else section.prefix_cache_mib << 20, place)


def _state_digest(engine: Engine) -> str:
    """Return a digest of weights, graphs and code: what states of prompts depend on, beside element types."""
    if not engine.is_packed:
        raise UsageError(
            "keeps no states of prompts on disk, which only engines of the native CPU runtime do",
            where=str(engine.directory),
            remedy="Leave --prefix-dir out",
        )
    files = {name: record.sha256 for name, record in sorted(engine.manifest.files.items())}
    return hashlib.sha256(json.dumps([files, code_digest()]).encode()).hexdigest()


def _section(recipe: object) -> CpuSection | CudaSection | None:
    """Return the options of a runtime that keeps prefixes."""
    if isinstance(recipe, CpuRecipe):
        return recipe.cpu
    return recipe.cuda if isinstance(recipe, CudaRecipe) else None


def budget_of(engine: Engine) -> Budget:
    """Return what an engine's recipe leaves room for."""
    limits = engine.recipe.limits
    section = _section(engine.recipe)
    kv_tokens = section.kv_tokens if section else None
    return Budget(
        slots=limits.max_batch_size,
        max_seq_len=min(limits.max_seq_len, kv_tokens or limits.max_seq_len),
        max_num_tokens=max(limits.max_num_tokens, limits.max_batch_size),
        max_draft_tokens=engine.recipe.speculation.draft_tokens if engine.drafter else 0,
        vocab_size=engine.vocab_size,
    )


def load_tokenizer(engine: Engine) -> TextTokenizer:
    """Return the engine's tokenizer, stop tokens included."""
    return TextTokenizer(engine.tokenizer_directory, engine.raw_config().get("eos_token_id"))


def load_compiler(engine: Engine) -> GrammarCompiler:
    """Return what compiles constraints for an engine's vocabulary; the first one reads it."""
    tokenizer = load_tokenizer(engine)
    return GrammarCompiler(tokenizer, tokenizer.stop_token_ids, engine.vocab_size)

"""Which weights of a base change: those that adapters name, each exactly once an adapter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.rewrite.merging.adapter import Adapter, Pair
from trtnemo.checkpoint.rewrite.merging.delta import Delta, Matrices
from trtnemo.checkpoint.rewrite.merging.merged import Merged, Tally
from trtnemo.checkpoint.rewrite.stream.piece import NewTensor, Piece, copied
from trtnemo.errors import CheckpointError


def plan_merge(base: Checkpoint, adapters: Sequence[Adapter], tally: Tally) -> list[Piece]:
    """Return every tensor of the base in the order of its network, those that adapters name as sums.

    Raises CheckpointError for an adapter that names what the base has not, or in another shape.
    """
    matrices = Matrices()
    deltas: dict[str, list[Delta]] = defaultdict(list)
    for adapter in adapters:
        seen: set[str] = set()
        for pair in adapter.pairs:
            for tensor, delta in _deltas(base, adapter, pair, matrices):
                if tensor in seen:
                    raise CheckpointError(f"names {tensor} twice", where=str(adapter.file))
                seen.add(tensor)
                deltas[tensor].append(delta)
    replaced = {name: (adapter, info) for adapter in adapters for name, info in adapter.replaced.items()}
    for name, (adapter, info) in replaced.items():
        _require_tensor(base, adapter, name, info.shape)
    for name, ones in deltas.items():
        if len(ones) > 1 and any(one.pair.magnitude is not None for one in ones):
            raise CheckpointError("two adapters change it, one of them by DoRA: their order decides", where=name,
                                  remedy="Merge one, then the other into what comes out")  # fmt: skip
    order = [item.name for item in expected_tensors(base.config, QuantizationMap()) if item.name in base.tensors]
    order += sorted(base.tensors.keys() - set(order))
    pieces: list[Piece] = []
    for name in order:
        info = base.tensors[name]
        if name not in deltas and name not in replaced:
            pieces.append(copied(info))
            continue
        source = replaced[name][1] if name in replaced else info
        pieces.append(Merged(source, NewTensor(name, info.storage, info.shape), tuple(deltas[name]), tally))
    return pieces


def _deltas(base: Checkpoint, adapter: Adapter, pair: Pair, matrices: Matrices) -> Iterator[tuple[str, Delta]]:
    if pair.name.module.endswith(".mixer.experts"):
        yield from _of_experts(base, adapter, pair, matrices)
        return
    inputs, outputs = pair.a.shape[1], pair.b.shape[0]
    shape = (inputs, outputs) if pair.is_embedding else (outputs, inputs)
    _require_tensor(base, adapter, pair.name.tensor, shape)
    if pair.a.shape[0] != adapter.settings.rank(pair.name.trained):
        raise CheckpointError(
            f"{pair.name.trained} has rank {pair.a.shape[0]}, its settings {adapter.settings.rank(pair.name.trained)}",
            where=str(adapter.file),
        )
    if pair.magnitude is not None and pair.magnitude.elements != outputs:
        raise CheckpointError(f"{pair.name.trained} has {pair.magnitude.elements} lengths for {outputs} rows",
                              where=str(adapter.file))  # fmt: skip
    yield pair.name.tensor, Delta(pair, matrices)


def _of_experts(base: Checkpoint, adapter: Adapter, pair: Pair, matrices: Matrices) -> Iterator[tuple[str, Delta]]:
    """Yield what a pair over all experts of a layer adds to each."""
    config, rank = base.config, adapter.settings.rank(pair.name.trained)
    experts = config.n_routed_experts
    width, inner = config.expert_size, config.moe_intermediate_size
    shape = (pair.b.shape[0], pair.a.shape[1])
    fitting = [name for name, wanted in (("up_proj", (inner, width)), ("down_proj", (width, inner))) if shape == wanted]
    if len(fitting) > 1:
        fitting = _by_wrapper(adapter, pair)
    if len(fitting) != 1 or pair.a.shape[0] != rank * experts:
        raise CheckpointError(
            f"{pair.name.trained} has matrices {list(pair.a.shape)} and {list(pair.b.shape)} of rank {rank}, which fit "
            "no projection of all experts",
            where=str(adapter.file),
            remedy=f"The base has {experts} experts of {inner} x {width}",
        )
    for expert in range(experts):
        tensor = f"{pair.name.module}.{expert}.{fitting[0]}.weight"
        _require_tensor(base, adapter, tensor, shape)
        yield tensor, Delta(pair, matrices, expert, experts)


def _by_wrapper(adapter: Adapter, pair: Pair) -> list[str]:
    """Return the projection of a pair that fits both: peft wraps up_proj first, so that it is the inner one."""
    wrappers = sum(other.name.trained == pair.name.trained for other in adapter.pairs)
    if wrappers == 2:
        return ["up_proj" if pair.name.depth else "down_proj"]
    return [name for name in ("up_proj", "down_proj") if any(
        target.endswith(f"experts.{name}") for target in adapter.settings.target_parameters)]  # fmt: skip


def _require_tensor(base: Checkpoint, adapter: Adapter, name: str, shape: tuple[int, ...]) -> None:
    info = base.tensors.get(name)
    trained = adapter.settings.base_model_name_or_path
    told = f"The adapter says that its base is {trained}" if trained else "The adapter is of another base"
    if info is None:
        raise CheckpointError(f"changes {name}, which the base has not", where=str(adapter.file), remedy=told)
    if info.shape != shape:
        raise CheckpointError(
            f"changes {name} as {list(shape)}, and the base has {list(info.shape)}",
            where=str(adapter.file),
            remedy=told,
        )

"""Which weights of a base change: those that adapters name, each exactly once an adapter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.storage import TensorInfo
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
    replaced: dict[str, tuple[Adapter, TensorInfo]] = {}
    for adapter in adapters:
        for name, info in adapter.replaced.items():
            # a table beside its own LoRA is the base's, saved with it
            if name in replaced and not _is_saved_with(adapter, name):
                raise CheckpointError("two adapters replace it: the last one would win", where=name,
                                      remedy="Merge one, then the other into what comes out")  # fmt: skip
            replaced[name] = (adapter, info)
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
        pieces.append(Merged(NewTensor(name, info.storage, info.shape), source, tuple(deltas[name]), tally))
    return pieces


def _deltas(base: Checkpoint, adapter: Adapter, pair: Pair, matrices: Matrices) -> Iterator[tuple[str, Delta]]:
    if pair.name.module.endswith(".mixer.experts"):
        yield from _of_experts(base, adapter, pair, matrices)
        return
    inputs, outputs = pair.a.shape[1], pair.b.shape[0]
    shape = (inputs, outputs) if pair.is_embedding else (outputs, inputs)
    _require_tensor(base, adapter, pair.name.tensor, shape)
    # a router's weight is a parameter, which patterns name whole
    known_as = pair.name.trained + (".weight" if pair.name.trained.endswith(".mixer.gate") else "")
    _require_rank(adapter, pair, known_as, 1)
    if pair.magnitude is not None and pair.magnitude.elements != outputs:
        raise CheckpointError(f"{pair.name.trained} has {pair.magnitude.elements} lengths for {outputs} rows",
                              where=str(adapter.file))  # fmt: skip
    yield pair.name.tensor, Delta(pair, matrices, adapter.settings.scale(known_as))


def _of_experts(base: Checkpoint, adapter: Adapter, pair: Pair, matrices: Matrices) -> Iterator[tuple[str, Delta]]:
    """Yield what a pair over all experts of a layer adds to each."""
    config = base.config
    experts, width, inner = config.n_routed_experts, config.expert_size, config.moe_intermediate_size
    shapes = {"up_proj": (inner, width), "down_proj": (width, inner)}
    shape = (pair.b.shape[0], pair.a.shape[1])
    projection = _by_wrapper(adapter, pair, shapes)
    is_straight, is_turned = shape == shapes.get(projection), shape[::-1] == shapes.get(projection)
    if is_straight and is_turned:  # as high as wide: the version alone tells
        is_turned = adapter.settings.turns_experts
    if not (is_straight or is_turned):
        raise CheckpointError(
            f"{pair.name.trained} has matrices {list(pair.a.shape)} and {list(pair.b.shape)}, which fit no projection "
            "of all experts",
            where=str(adapter.file),
            remedy=f"The base has {experts} experts of {inner} x {width}",
        )
    known_as = f"{pair.name.trained}.{projection}"
    _require_rank(adapter, pair, known_as, experts)
    for expert in range(experts):
        tensor = f"{pair.name.module}.{expert}.{projection}.weight"
        _require_tensor(base, adapter, tensor, shapes[projection])
        yield tensor, Delta(pair, matrices, adapter.settings.scale(known_as), is_turned, expert, experts)


def _require_rank(adapter: Adapter, pair: Pair, known_as: str, experts: int) -> None:
    rank, found = adapter.settings.rank(known_as), pair.a.shape[0] / experts
    if found != rank:
        raise CheckpointError(
            f"{known_as} has rank {found:g}, its settings {rank}",
            where=str(adapter.file),
            remedy="adapter_config.json (r, rank_pattern) is of another adapter",
        )


def _is_saved_with(adapter: Adapter, name: str) -> bool:
    return any(pair.name.tensor == name for pair in adapter.pairs)


def _by_wrapper(adapter: Adapter, pair: Pair, shapes: Mapping[str, tuple[int, int]]) -> str:
    """Return the projection of a pair, or nothing: peft wraps up_proj first, so that of two it is the inner one.

    Of one, target_parameters names it; else its shape does, where the adapter's version is known.
    """
    wrappers = sum(other.name.trained == pair.name.trained for other in adapter.pairs)
    if wrappers == 2:
        return "up_proj" if pair.name.depth else "down_proj"
    named = {name for name in shapes for target in adapter.settings.target_parameters
             if target.endswith(f"experts.{name}")}  # fmt: skip
    if len(named) == 1:
        return named.pop()
    shape = (pair.b.shape[0], pair.a.shape[1])
    shape = shape[::-1] if adapter.settings.turns_experts else shape
    fitting = [name for name, wanted in shapes.items() if wanted == shape]
    return fitting[0] if len(fitting) == 1 and adapter.settings.peft_version else ""


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

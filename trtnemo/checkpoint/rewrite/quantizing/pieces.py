"""What each tensor of a plain checkpoint becomes: itself, or codes and scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE, WeightFormat
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rewrite.quantizing.encode import Quantized
from trtnemo.checkpoint.rewrite.stream.piece import NewTensor
from trtnemo.errors import CheckpointError

_FUSED = ("q_proj", "k_proj", "v_proj")  # one product in a server, so that their weights share one scale


def plan_pieces(
    source: Checkpoint, target: QuantizationMap, scalars: Mapping[str, float], search: Search = "max"
) -> list[Quantized]:
    """Return what a checkpoint becomes with another map, in the order of its network.

    scalars: values of input, key and value scales by name; search: how scales of NVFP4 blocks are chosen. Raises
    CheckpointError where columns are no blocks.
    """
    expected = list(expected_tensors(source.config, target))
    scales: dict[str, list[ExpectedTensor]] = {}
    for item in expected:
        if item.is_scale:
            scales.setdefault(_of_weight(item.name), []).append(item)
    pieces = []
    for item in expected:
        info = source.tensors.get(item.name)
        if info is not None:
            pieces.append(_piece(source, target, item, info, scales.get(item.name, []), scalars, search))
    return pieces


def _piece(
    source: Checkpoint,
    target: QuantizationMap,
    item: ExpectedTensor,
    info: TensorInfo,
    scales: list[ExpectedTensor],
    scalars: Mapping[str, float],
    search: Search,
) -> Quantized:
    chosen = item.weight_format or WeightFormat.PLAIN
    constants = {scale.name: scalars[scale.name] for scale in scales if scale.name in scalars}
    known = tuple(NewTensor(name, StorageType.F32, ()) for name in constants)
    if chosen is WeightFormat.PLAIN:
        return Quantized(info, chosen, (NewTensor(item.name, info.storage, info.shape), *known), constants)
    if chosen.is_nvfp4 and info.shape[-1] % BLOCK_SIZE:
        raise CheckpointError(f"{info.shape[-1]} columns are no whole number of blocks of {BLOCK_SIZE}",
                              where=item.name)  # fmt: skip
    made = [scale for scale in scales if scale.name.endswith((".weight_scale", ".weight_scale_2"))]
    outputs = (NewTensor(item.name, item.storages[0], item.shape),
               *(NewTensor(scale.name, scale.storages[0], scale.shape) for scale in made))  # fmt: skip
    together = tuple(_together(source, target, item.name)) if chosen.is_nvfp4 else (info,)
    return Quantized(info, chosen, (*outputs, *known), constants, together, search)


def _together(source: Checkpoint, target: QuantizationMap, name: str) -> Iterator[TensorInfo]:
    """Yield the weights that share a second scale with one: those of one input that are NVFP4, itself among them."""
    head, dot, last = name.removesuffix(".weight").rpartition(".")
    for other in _FUSED if last in _FUSED else (last,):
        module = f"{head}{dot}{other}"
        info = source.tensors.get(f"{module}.weight")
        if info is not None and target.format_of(module).is_nvfp4:
            yield info


def _of_weight(scale: str) -> str:
    return f"{scale.rpartition('.')[0]}.weight"

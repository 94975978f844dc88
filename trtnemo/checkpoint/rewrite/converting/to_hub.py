"""What a checkpoint of another layout becomes in the hub's: its names, one tensor an expert, ModelOpt's scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.expected import expected_tensors
from trtnemo.checkpoint.family.layout import PLAIN
from trtnemo.checkpoint.family.module_name import hub_name, stacked_experts
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.tools.compressed_layout import PackedNvfp4, ScaledFp8
from trtnemo.checkpoint.family.tools.compressed_tensors import TOOL
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo
from trtnemo.checkpoint.rewrite.converting.scales import Widened
from trtnemo.checkpoint.rewrite.converting.stacks import cut
from trtnemo.checkpoint.rewrite.stream.piece import Copied, NewTensor, Piece, Span, copied
from trtnemo.errors import CheckpointError

_NVFP4 = {"weight_packed": "weight", "weight_global_scale": "weight_scale_2", "input_global_scale": "input_scale"}


def plan_hub(source: Checkpoint) -> tuple[list[Piece], Counter[str]]:
    """Return the pieces in the order of the network, and how many tensors changed, by what was done to them.

    Raises CheckpointError for weights that ModelOpt's layout has no form for, and names that become one.
    """
    _require_form(source)
    done: Counter[str] = Counter()
    found: dict[str, Piece] = {}
    for info in source.tensors.values():
        for what, piece in _pieces(source, info):
            done[what] += 1
            name = piece.outputs[0].name
            if name in found:
                raise CheckpointError(f"two tensors become {name}, one of them {info.name}", where=source.place)
            found[name] = piece
    order = {item.module: place for place, item in enumerate(expected_tensors(source.config, QuantizationMap()))}
    names = sorted(found, key=lambda name: (order.get(name.rpartition(".")[0], len(order)), name))
    return [found[name] for name in names], done


def _require_form(source: Checkpoint) -> None:
    tool = source.quantization.tool
    if tool is not None and tool.method != TOOL:
        raise CheckpointError(f"its weights are {tool.title}, which ModelOpt's layout has no form for",
                              where=source.place, remedy="Convert the checkpoint that they were made from")  # fmt: skip
    for layout in tool.layouts if tool is not None else ():
        if isinstance(layout, ScaledFp8) and (layout.scales != "tensor" or not layout.has_input_scale):
            what = "inputs without a scale" if layout.scales == "tensor" else f"a scale for each {layout.scales}"
            raise CheckpointError(f"its FP8 weights have {what}, which ModelOpt's layout has no form for",
                                  where=source.place, remedy="Quantize the BF16 checkpoint again")  # fmt: skip


def _pieces(source: Checkpoint, info: TensorInfo) -> Iterator[tuple[str, Piece]]:
    """Yield what becomes of one tensor, and what that is called."""
    name = hub_name(info.name)
    module, _, last = name.rpartition(".")
    layout = PLAIN if source.quantization.tool is None else source.quantization.layout_of(module)
    stack = stacked_experts(name)
    if stack is not None:
        yield from (("cut", piece) for piece in cut(source.config, *stack, info))
    elif isinstance(layout, PackedNvfp4) and last in _NVFP4:
        new = f"{module}.{_NVFP4[last]}"
        yield "renamed", copied(info, new) if last == "weight_packed" else Widened(info, new, is_reciprocal=True)
    elif isinstance(layout, ScaledFp8) and last in ("weight_scale", "input_scale"):
        yield "rescaled", Widened(info, name)
    elif last in ("k_scale", "v_scale") and module.endswith(".mixer"):
        yield "rescaled", Widened(info, f"{module}.{last[0]}_proj.{last}")
    elif last == "e_score_correction_bias" and info.storage in (StorageType.BF16, StorageType.F16):
        yield "widened", Widened(info, name, is_scale=False)
    elif name.endswith("conv1d.weight") and len(info.shape) == 3 and info.shape[1:] == (source.config.conv_kernel, 1):
        shape = (info.shape[0], 1, info.shape[1])  # mlx-lm stores channels last, which are one: the same bytes
        yield "reshaped", Copied(NewTensor(name, info.storage, shape), (Span(info, 0, info.size),))
    else:
        yield "copied" if name == info.name else "renamed", copied(info, name)

"""latent_moe as TensorRT layers, in the two forms that never expand the bank.

Few rows: gather after dequantize, then multiply and sum, which fuse, so that only the picked experts' bytes are read.
Many rows: tokens grouped by expert and batched products in the bank's own format, a part of the experts at a time;
which token goes to which cell is decided between plans (backends/tensorrt/lower/grouping.py).

Shape letters: T tokens, E experts, K picked experts, L row width, I inner width, C cells of an expert.
"""

from __future__ import annotations

from trtnemo.graph.ops import Compute
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.trt.element import Element
from trtnemo.trt.weight import StoredWeight, dequantize, round_activation
from trtnemo.trt.writer import ITensor, NetworkWriter

_FLOAT = Element.FLOAT32


def route(net: NetworkWriter, op: LatentMoe, logits_TE: ITensor, bias_E: ITensor) -> tuple[ITensor, ITensor]:
    """Return (expert numbers [T, K] in INT32, weights [T, K] in float32)."""
    scores = net.activation("SIGMOID", net.cast(logits_TE, _FLOAT))
    choice = net.add(scores, net.reshape(bias_E, (1, -1)))
    if op.groups > 1:
        choice = _mask_groups(net, op, choice)
    _, picked = net.top_k(choice, op.top_k, 1)
    weights = net.gather(scores, picked, 1, batched=True)
    if op.normalize:
        total = net.add(net.reduce("SUM", weights, 1, keep=True), net.constant([[1e-20]]))
        weights = net.divide(weights, total)
    return picked, net.multiply(weights, net.constant([[op.scaling_factor]]))


def _mask_groups(net: NetworkWriter, op: LatentMoe, choice_TE: ITensor) -> ITensor:
    """Leave only the experts of the groups whose two best scores add up highest."""
    size = op.experts // op.groups
    best, _ = net.top_k(net.reshape(choice_TE, (0, op.groups, size)), min(2, size), 2)
    _, kept = net.top_k(net.reduce("SUM", best, 2), op.top_groups, 1)
    numbers = net.constant([[[float(group)] for group in range(op.groups)]])
    is_kept = net.binary("EQUAL", numbers, net.cast(net.unsqueeze(kept, 1), _FLOAT))
    any_kept = net.reduce("MAX", net.cast(is_kept, _FLOAT), 2, keep=True)
    spread = net.multiply(any_kept, net.constant([[[1.0] * size]]))
    is_open = net.binary("GREATER", net.reshape(spread, (0, op.experts)), net.constant([[0.5]]))
    return net.select(is_open, choice_TE, net.constant([[-1e30]]))


def few_rows(
    net: NetworkWriter,
    op: LatentMoe,
    rows_TL: ITensor,
    picked_TK: ITensor,
    weights_TK: ITensor,
    up: StoredWeight,
    down: StoredWeight,
) -> ITensor:
    """Return the routed sum [T, L] in float32."""
    x_T11L = net.unsqueeze(net.cast(rows_TL, _FLOAT), 1, 2)
    hidden = _pick_and_project(net, x_T11L, up, picked_TK)
    activated = net.activation("RELU", hidden)
    y_TKL = _pick_and_project(net, net.unsqueeze(net.multiply(activated, activated), 2), down, picked_TK)
    return net.reduce("SUM", net.multiply(y_TKL, net.unsqueeze(weights_TK, 2)), 1)


def _pick_and_project(net: NetworkWriter, x: ITensor, bank: StoredWeight, picked_TK: ITensor) -> ITensor:
    """Return x [T, K or 1, 1, columns] times each picked expert's transposed weight: [T, K, rows]."""
    weights_TKoi = net.gather(dequantize(net, bank, _FLOAT), picked_TK, 0)
    sums = net.reduce("SUM", net.multiply(x, weights_TKoi), 3)
    if bank.scale is None:
        return sums
    return net.multiply(sums, net.unsqueeze(net.gather(bank.scale, picked_TK, 0), 2))


def many_rows(
    net: NetworkWriter,
    compute: Compute,
    products: Element,
    rows_TL: ITensor,
    token_of_cell_EC: ITensor,
    up: StoredWeight,
    down: StoredWeight,
) -> ITensor:
    """Return what each expert makes of the tokens in its cells [E, C, L], in the rows' element type."""
    cells_ECL = net.gather(rows_TL, token_of_cell_EC, 0)
    hidden = net.activation("RELU", _project_cells(net, cells_ECL, up, compute, products))
    squared = net.multiply(hidden, hidden)
    return net.cast(_project_cells(net, squared, down, compute, products), net.element(rows_TL))


def _project_cells(
    net: NetworkWriter, x_ECi: ITensor, bank: StoredWeight, compute: Compute, products: Element
) -> ITensor:
    """Return each expert's product in float32."""
    scale = bank.scale
    if compute != "weight_only" and bank.input_scale is not None:
        products = _FLOAT  # of the sums: the products are of FP4 or FP8 codes
        divided = net.divide(net.cast(x_ECi, _FLOAT), net.unsqueeze(bank.input_scale, 1, 2))
        x_ECi = round_activation(net, divided, bank.format, products)
        scale = net.multiply(bank.scale, bank.input_scale)
    x_ECi = net.cast(x_ECi, products)
    product = net.cast(net.matmul(x_ECi, dequantize(net, bank, products), transpose_right=True), _FLOAT)
    return product if scale is None else net.multiply(product, net.unsqueeze(scale, 1, 2))


def collect(net: NetworkWriter, y_ECL: ITensor, width: int, cell_of_pick_TK: ITensor, weights_TK: ITensor) -> ITensor:
    """Return each token's weighted sum [T, L] in float32 over its cells; a pick without a cell has weight 0."""
    picked = net.gather(net.reshape(y_ECL, (-1, width)), cell_of_pick_TK, 0)
    weighted = net.multiply(net.cast(picked, _FLOAT), net.unsqueeze(weights_TK, 2))
    return net.reduce("SUM", weighted, 1)

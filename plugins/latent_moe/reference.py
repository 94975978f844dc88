"""The naive truth of latent_moe: plain torch, one expert after the other.

Shape letters: T tokens, E experts, K picked experts, L row width, I inner width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trtnemo.plugins.latent_moe.op import LatentMoe

# (expert, rows) -> projected rows; a lowering passes products in its own compute mode
ExpertLinear = Callable[[int, Tensor], Tensor]


def route(op: LatentMoe, logits_TE: Tensor, correction_bias_E: Tensor) -> tuple[Tensor, Tensor]:
    """Return (expert ids [T, K], weights [T, K]) in float32."""
    scores_TE = torch.sigmoid(logits_TE.float())
    choice_TE = scores_TE + correction_bias_E.float()
    if op.groups > 1:
        choice_TE = _mask_groups(op, choice_TE)
    picked_TK = torch.topk(choice_TE, op.top_k, dim=-1).indices
    weights_TK = scores_TE.gather(1, picked_TK)
    if op.normalize:
        weights_TK = weights_TK / (weights_TK.sum(-1, keepdim=True) + 1e-20)
    return picked_TK, weights_TK * op.scaling_factor


def _mask_groups(op: LatentMoe, choice_TE: Tensor) -> Tensor:
    """Leave only the experts of the groups whose two best scores add up highest."""
    grouped = choice_TE.reshape(len(choice_TE), op.groups, -1)
    group_scores = grouped.topk(min(2, grouped.shape[-1]), dim=-1).values.sum(-1)
    kept = torch.zeros_like(group_scores).scatter(1, group_scores.topk(op.top_groups, dim=-1).indices, 1.0)
    return grouped.masked_fill(kept[..., None] == 0, float("-inf")).reshape(choice_TE.shape)


def latent_moe(
    op: LatentMoe, logits_TE: Tensor, rows_TL: Tensor, correction_bias_E: Tensor, up: ExpertLinear, down: ExpertLinear
) -> Tensor:
    """Return the routed sum [T, L]; every token's experts are added in ascending order of their number."""
    picked_TK, weights_TK = route(op, logits_TE, correction_bias_E)
    result = torch.zeros_like(rows_TL)
    for expert in torch.unique(picked_TK).tolist():
        tokens, slot = torch.where(picked_TK == expert)
        hidden = torch.relu(up(expert, rows_TL[tokens])).square()
        result[tokens] += weights_TK[tokens, slot, None] * down(expert, hidden)
    return result

"""Tokens drawn on the device, so that no logits cross to the host where nothing but their token is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trtnemo.backends.cuda.kernels.draw import NO_NUMBER as _NO_NUMBER
from trtnemo.backends.cuda.kernels.draw import NOT_KNOWN as _NOT_KNOWN
from trtnemo.backends.cuda.kernels.draw import draw_kernel, pick_kernel
from trtnemo.backends.draw import Draw
from trtnemo.kernels.launch import Launcher

NOT_KNOWN, NO_NUMBER = int(_NOT_KNOWN.value), int(_NO_NUMBER.value)
KEPT = 256  # candidates of a row that top_k, top_p and min_p are computed over; the host computes what needs more
BLOCK = 1024  # tokens of a program
LIKELIEST = Draw()


def tell_draws(draws: Sequence[Draw | None], real: Tensor, whole: Tensor) -> None:
    """Write how rows are drawn into tables [rows, 4] of float64 and int64; the rest take the likeliest token."""
    told = [draw or LIKELIEST for draw in draws]
    told += [LIKELIEST] * (len(real) - len(told))
    real.copy_(torch.tensor([(draw.temperature, draw.top_p, draw.min_p, 0.0) for draw in told], dtype=torch.float64))
    whole.copy_(torch.tensor([(draw.seed, draw.place, draw.top_k, 0) for draw in told], dtype=torch.int64))


def draw_rows(launch: Launcher, logits: Tensor, draws: Sequence[Draw | None], *, guess: bool = False) -> Tensor:
    """Return the token of each row, told how on the way; see `draw_tokens`."""
    if not len(logits):
        return torch.empty(0, dtype=torch.int64, device=logits.device)
    real, whole = torch.zeros(len(logits), 4, dtype=torch.float64), torch.zeros(len(logits), 4, dtype=torch.int64)
    tell_draws(draws, real, whole)
    limits = any(draw is not None and draw.is_restricted(logits.shape[1]) for draw in draws)
    device = logits.device
    return draw_tokens(launch, logits, real.to(device), whole.to(device), restricted=limits, guess=guess)


def draw_tokens(
    launch: Launcher, logits: Tensor, real: Tensor, whole: Tensor, *, restricted: bool, guess: bool = False
) -> Tensor:
    """Return the token of each row as int64 [rows].

    NOT_KNOWN where only the host can say, NO_NUMBER where a logit is none; a `guess` is always a token. `restricted`:
    whether a row may have limits on its candidates.
    """
    rows, vocabulary, device = len(logits), logits.shape[1], logits.device
    blocks = -(-vocabulary // BLOCK)
    best, tops, masses = (torch.empty(rows, blocks, dtype=torch.float64, device=device) for _ in range(3))
    ids = torch.empty(rows, blocks, dtype=torch.int32, device=device)
    keys = torch.empty(rows, vocabulary, dtype=torch.int64, device=device) if restricted else ids
    launch(
        draw_kernel, (rows, blocks), logits, real, whole, best, ids, tops, masses, keys, vocabulary, logits.stride(0),
        BLOCK=BLOCK, RESTRICTED=restricted, num_warps=4,
    )  # fmt: skip
    kept = min(KEPT, vocabulary)
    if restricted:
        keys = torch.topk(keys, kept, largest=False).values
    out = torch.empty(rows, dtype=torch.int64, device=device)
    launch(
        pick_kernel, (rows,), best, ids, tops, masses, keys, real, whole, out, blocks, kept, vocabulary,
        BLOCKS=max(16, 1 << (blocks - 1).bit_length()), KEPT=KEPT, RESTRICTED=restricted, GUESS=guess, num_warps=4,
    )  # fmt: skip
    return out

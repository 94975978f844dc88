"""Tensors that other programs give to our ops: kernels read them by address, so what they are is checked here."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ROWS = (torch.float32, torch.bfloat16, torch.float16)


def require_given(tensors: Mapping[str, Tensor | None], dtypes: tuple[torch.dtype, ...], like: Tensor) -> None:
    """Raise ValueError for a tensor of another element type or device than `like`'s, or whose elements are apart.

    A view that skips elements would be read, and written, as if it did not.
    """
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.dtype not in dtypes:
            names = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise ValueError(f"{name} is {str(tensor.dtype).removeprefix('torch.')}, and must be {names}")
        if tensor.device != like.device:
            raise ValueError(f"{name} is on {tensor.device}, and the rows are on {like.device}")
        if not tensor.is_contiguous():
            raise ValueError(f"{name} is a view with strides {tuple(tensor.stride())}, and must be contiguous")


def require_rows(name: str, rows: Tensor) -> None:
    """Raise ValueError where rows are not a matrix of floats whose columns are beside each other; rows may be apart."""
    if rows.ndim != 2 or rows.dtype not in ROWS or (rows.shape[1] > 1 and rows.stride(1) != 1):
        about = f"{tuple(rows.shape)} {str(rows.dtype).removeprefix('torch.')} with strides {tuple(rows.stride())}"
        raise ValueError(f"{name} is {about}, and must be a matrix of floats, its columns beside each other")


def require_segments(tensors: Mapping[str, Tensor], fields: int, like: Tensor) -> None:
    """Raise ValueError for a table of segments that has other columns or element types than kernels read."""
    require_given(tensors, (torch.int32,), like)
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or tensor.shape[1] != fields:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, and must have {fields} columns")

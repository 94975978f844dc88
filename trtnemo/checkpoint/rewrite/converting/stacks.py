"""The pieces that cut and join the experts of a layer, which others have in one tensor [experts, outputs, inputs]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.format.storage import PLAIN, TensorInfo
from trtnemo.checkpoint.rewrite.stream.page import Page
from trtnemo.checkpoint.rewrite.stream.piece import Copied, NewTensor, OneTensor, Piece, Span
from trtnemo.errors import CheckpointError


@dataclass(frozen=True)
class Transposed(OneTensor):
    """One expert's matrix out of a stack that has inputs before outputs."""

    span: Span

    def write(self, page: Page) -> None:
        """Write it turned over; it is held in memory whole, some megabytes."""
        data = np.concatenate(list(page.parts(self.span.info, self.span.begin, self.span.size)))
        rows, columns = self.output.shape
        matrix = data.view(self.output.storage.raw_dtype).reshape(columns, rows)
        page.put(self.output.name, np.ascontiguousarray(matrix.T).data.cast("B"))
        page.told(self.span.size)


def cut(config: ModelConfig, experts: str, projection: str, info: TensorInfo) -> Iterator[Piece]:
    """Yield a matrix for each expert of a stack; raises CheckpointError for a shape that is not the network's."""
    if info.storage not in PLAIN:
        raise CheckpointError(f"is a stack of {info.storage.value}, and only plain ones are cut", where=info.name)
    inner, width = config.moe_intermediate_size, config.expert_size
    shape = (inner, width) if projection == "up_proj" else (width, inner)
    is_turned = info.shape != (config.n_routed_experts, *shape)
    if is_turned and info.shape != (config.n_routed_experts, *shape[::-1]):
        wanted = [config.n_routed_experts, *shape]
        raise CheckpointError(f"has shape {list(info.shape)}, and config.json asks for {wanted}", where=info.name)
    size = info.size // config.n_routed_experts
    for expert in range(config.n_routed_experts):
        output = NewTensor(f"{experts}.{expert}.{projection}.weight", info.storage, shape)
        span = Span(info, expert * size, size)
        yield Transposed(output, span) if is_turned else Copied(output, (span,))


def joined(name: str, experts: Sequence[TensorInfo]) -> Copied:
    """Return a stack of matrices that have one shape and type."""
    first = experts[0]
    output = NewTensor(name, first.storage, (len(experts), *first.shape))
    return Copied(output, tuple(Span(info, 0, info.size) for info in experts))

"""What the latent_moe plugin computes: shapes, dtypes; it has no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from trtnemo.graph.op import Op, require
from trtnemo.graph.ops import Compute
from trtnemo.graph.types import DType, ValueType


class LatentMoe(Op):
    """Sum over the picked experts of weight * down(relu(up(x))^2), in the latent width (or the hidden one).

    Inputs: router logits [tokens, experts] in float32, and the rows x [tokens, width]. Parameters: correction_bias
    [experts], up bank [experts, inner, width], down bank [experts, width, inner]. Scores are sigmoids; the bias
    decides which experts are picked, never their weights (DeepSeek-V3, arXiv 2412.19437).
    """

    kind: ClassVar[str] = "latent_moe"
    matrix_roles: ClassVar[tuple[str, ...]] = ("up", "down")
    experts: int
    top_k: int
    width: int
    inner: int
    groups: int
    top_groups: int
    normalize: bool
    scaling_factor: float
    compute: Compute = "weight_only"

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return the type of the rows."""
        logits, rows = inputs
        require(logits.dtype is DType.FLOAT32 and logits.width == self.experts, f"router logits are {logits}")
        require(rows.width == self.width, f"latent_moe over width {rows.width}, not {self.width}")
        return rows

    def products(self) -> int:
        """Return the products of the experts that one token picks."""
        return 2 * self.top_k * self.width * self.inner

    @property
    def routed(self) -> tuple[int, int] | None:
        """(experts, experts that a token picks)."""
        return self.experts, self.top_k

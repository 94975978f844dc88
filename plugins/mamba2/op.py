"""What the mamba2 plugin computes: shapes, dtypes, state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from trtnemo.graph.op import Op, require
from trtnemo.graph.types import DType, StateSpec, ValueType


class Mamba2(Op):
    """Causal convolution, selective scan and gated norm of one Mamba-2 layer (Dao and Gu, arXiv 2405.21060).

    Input: in_proj's output [tokens, z | x | B | C | dt]; output: out_proj's input [tokens, heads * head_dim].
    Parameters: conv_weight [channels, 1, kernel], conv_bias [channels] (absent without bias), A_log, D, dt_bias
    [heads], norm_weight [heads * head_dim]. dt is never clamped.
    """

    kind: ClassVar[str] = "mamba2"
    heads: int
    head_dim: int
    groups: int
    state_size: int
    kernel: int
    epsilon: float

    @property
    def inner(self) -> int:
        """Channels of x, of z and of the output."""
        return self.heads * self.head_dim

    @property
    def channels(self) -> int:
        """Channels of the convolution: x, B and C."""
        return self.inner + 2 * self.groups * self.state_size

    @property
    def input_width(self) -> int:
        """Width of the input: z, then the convolution's channels, then dt."""
        return self.inner + self.channels + self.heads

    def infer(self, inputs: Sequence[ValueType]) -> ValueType:
        """Return [tokens, inner]."""
        require(inputs[0].width == self.input_width, f"mamba2 over width {inputs[0].width}, not {self.input_width}")
        return inputs[0].with_width(self.inner)

    def states(self) -> tuple[StateSpec, ...]:
        """Return the last kernel-1 columns before the convolution, and the float32 state of the scan."""
        return (
            StateSpec(role="conv_state", dtype=DType.BFLOAT16, shape=(self.kernel - 1, self.channels), per_token=False),
            StateSpec(
                role="ssm_state",
                dtype=DType.FLOAT32,
                per_token=False,
                shape=(self.heads, self.head_dim, self.state_size),
            ),
        )

    def products(self) -> int:
        """Return the products of one step of the scan."""
        return 3 * self.heads * self.head_dim * self.state_size

"""The plain layers: embedding, norm, linear, squared-ReLU MLP."""

from __future__ import annotations

from trtnemo.checkpoint import WeightFormat
from trtnemo.graph import DType, Tensor
from trtnemo.network import functional
from trtnemo.network.context import BuildContext
from trtnemo.network.module import Module, Parameter


class Embedding(Module):
    """The table of token embeddings."""

    def __init__(self, context: BuildContext) -> None:
        self.weight = Parameter(context.config.vocab_size, context.config.hidden_size)
        self.dtype = context.dtype

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        return functional.embedding(self.path, token_ids, self.weight.spec, self.dtype)


class RmsNorm(Module):
    """RMS norm with a plain weight."""

    def __init__(self, width: int, epsilon: float) -> None:
        self.weight = Parameter(width)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized."""
        return functional.rms_norm(self.path, x, self.weight.spec, self.epsilon)


class Linear(Module):
    """A product with a weight stored as the checkpoint's map says for `module_path`."""

    def __init__(
        self, context: BuildContext, module_path: str, columns: int, rows: int, out_dtype: DType | None = None
    ) -> None:
        format = context.quantization.format_of(module_path)
        self.compute = context.compute_of(format)
        self.out_dtype = out_dtype or context.dtype
        self.weight = Parameter(
            rows, columns, format=format, input_scale=format in (WeightFormat.FP8, WeightFormat.NVFP4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [.., rows]."""
        return functional.linear(self.path, x, self.weight.spec, self.compute, self.out_dtype)


class Mlp(Module):
    """down(relu(up(x))^2): dense layers and shared experts."""

    def __init__(self, context: BuildContext, module_path: str, inner: int) -> None:
        hidden = context.config.hidden_size
        self.up_proj = Linear(context, f"{module_path}.up_proj", hidden, inner)
        self.down_proj = Linear(context, f"{module_path}.down_proj", inner, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        activated = functional.relu2(f"{self.path}.relu2", self.up_proj(x))
        result: Tensor = self.down_proj(activated)
        return result

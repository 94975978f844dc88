"""NemotronH, written once: the hybrid backbone, its head, and the MTP draft head."""

from __future__ import annotations

from collections.abc import Iterator

from trtnemo.checkpoint import LayerKind
from trtnemo.graph import Tensor
from trtnemo.network import functional
from trtnemo.network.context import BuildContext
from trtnemo.network.layers import Embedding, Linear, RmsNorm
from trtnemo.network.mixers import build_mixer
from trtnemo.network.module import Module, ModuleList
from trtnemo.network.pretrained import Outputs, PretrainedModel


class Block(Module):
    """x + mixer(norm(x))."""

    def __init__(self, context: BuildContext, kind: LayerKind, path: str) -> None:
        self.norm = RmsNorm(context.config.hidden_size, context.config.norm_eps)
        self.mixer = build_mixer(context, kind, f"{path}.mixer")

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        return functional.add(f"{self.path}.add", x, self.mixer(self.norm(x)))


class Backbone(Module):
    """Embedding, one block per layer of the pattern, final norm."""

    def __init__(self, context: BuildContext) -> None:
        config = context.config
        self.embeddings = Embedding(context)
        self.layers = ModuleList(
            Block(context, kind, f"backbone.layers.{index}") for index, kind in enumerate(config.layer_kinds)
        )
        self.norm_f = RmsNorm(config.hidden_size, config.norm_eps)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return hidden states [tokens, hidden] after the final norm."""
        x = self.embeddings(token_ids)
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.norm_f(x)
        return result


class MtpBlock(Block):
    """A block of the MTP head; the last one ends in final_layernorm."""

    def __init__(self, context: BuildContext, kind: LayerKind, index: int) -> None:
        config = context.config
        super().__init__(context, kind, f"mtp.layers.{index}")
        is_last = index == len(config.mtp_layer_kinds) - 1
        self.final_layernorm = RmsNorm(config.hidden_size, config.norm_eps) if is_last else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        result = super().forward(x)
        return self.final_layernorm(result) if self.final_layernorm else result


class MtpEntry(MtpBlock):
    """The first block of the MTP head, behind eh_proj over [enorm(embedding) | hnorm(hidden)]."""

    def __init__(self, context: BuildContext, kind: LayerKind) -> None:
        hidden, epsilon = context.config.hidden_size, context.config.norm_eps
        self.enorm = RmsNorm(hidden, epsilon)
        self.hnorm = RmsNorm(hidden, epsilon)
        self.eh_proj = Linear(context, "mtp.layers.0.eh_proj", 2 * hidden, hidden)
        super().__init__(context, kind, 0)

    def join(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        """Return the input of the block: the embedding comes first."""
        both = functional.concat(f"{self.path}.concat", self.enorm(embedded), self.hnorm(hidden))
        result: Tensor = self.eh_proj(both)
        return result


class MtpHead(Module):
    """One physical draft head, shared over all draft depths."""

    def __init__(self, context: BuildContext) -> None:
        first, *rest = context.config.mtp_layer_kinds
        self.entry = MtpEntry(context, first)
        self.layers = ModuleList([self.entry, *(MtpBlock(context, kind, i) for i, kind in enumerate(rest, start=1))])

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers only: `entry` is the first of them."""
        yield "layers", self.layers

    def forward(self, embedded: Tensor, hidden: Tensor) -> Tensor:
        """Return the head's hidden states [tokens, hidden] after final_layernorm."""
        x = self.entry.join(embedded, hidden)
        for layer in self.layers:
            x = layer(x)
        return x


class NemotronH(PretrainedModel):
    """The whole family: latent or plain MoE, dense MLP, untied, tied or quantized head, with or without MTP."""

    def __init__(self, context: BuildContext) -> None:
        config = context.config
        super().__init__(context)
        self.backbone = Backbone(context)
        self.lm_head = Linear(context, "lm_head", config.hidden_size, config.vocab_size, self.logits_dtype)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.backbone.embeddings.weight
        self.mtp = MtpHead(context) if config.has_mtp else None
        self.assign_names()

    def forward(self, token_ids: Tensor, logit_rows: Tensor) -> Outputs:
        """Return hidden states of all tokens after norm_f, and float32 logits of the wanted rows."""
        hidden = self.backbone(token_ids)
        return self._with_logits(hidden, logit_rows)

    def draft(self, token_ids: Tensor, hidden_states: Tensor, logit_rows: Tensor) -> Outputs:
        """Return the MTP head's hidden states and logits for (hidden of token t, token t+1) pairs."""
        if self.mtp is None:
            raise RuntimeError("this network has no MTP head")
        hidden = self.mtp(self.backbone.embeddings(token_ids), hidden_states)
        return self._with_logits(hidden, logit_rows)

    def _with_logits(self, hidden: Tensor, logit_rows: Tensor) -> Outputs:
        wanted = functional.select_rows("select_rows", hidden, logit_rows)
        return Outputs(hidden, self.lm_head(wanted))

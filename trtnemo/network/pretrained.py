"""From a checkpoint to recorded graphs: what every model of the family shares."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from trtnemo.checkpoint import Checkpoint
from trtnemo.graph import ROWS, TOKENS, DType, Graph, Recorder, Tensor, ValueType, recording
from trtnemo.network.context import BuildContext, ComputeMode
from trtnemo.network.module import Module

Model = TypeVar("Model", bound="PretrainedModel")


class Outputs(NamedTuple):
    """What a graph gives: hidden states [tokens, hidden], logits [rows, vocabulary] in float32."""

    hidden_states: Tensor
    logits: Tensor


class PretrainedModel(Module):
    """A network with a target graph and, where it has an MTP head, a draft graph over the same weights."""

    logits_dtype = DType.FLOAT32

    def __init__(self, context: BuildContext) -> None:
        self.context = context

    @classmethod
    def from_checkpoint(cls: type[Model], checkpoint: Checkpoint, compute_mode: ComputeMode = "weight_only") -> Model:
        """Return the network of an opened checkpoint; reads no weights. Raises CheckpointError."""
        checkpoint.require_decodable()
        return cls(BuildContext(checkpoint.config, checkpoint.quantization, compute_mode))

    def forward(self, token_ids: Tensor, logit_rows: Tensor) -> Outputs:
        """Record the target network."""
        raise NotImplementedError

    def draft(self, token_ids: Tensor, hidden_states: Tensor, logit_rows: Tensor) -> Outputs:
        """Record the draft head."""
        raise NotImplementedError

    def record_target(self) -> Graph:
        """Return the graph of the network itself."""
        with recording("target") as recorder:
            return _finish(recorder, self.forward(_token_ids(recorder), _logit_rows(recorder)))

    def record_mtp(self) -> Graph:
        """Return the graph of the MTP draft head."""
        with recording("mtp") as recorder:
            token_ids = _token_ids(recorder)
            width = self.context.config.hidden_size
            hidden = recorder.input("hidden_states", ValueType(dtype=self.context.dtype, shape=(TOKENS, width)))
            return _finish(recorder, self.draft(token_ids, hidden, _logit_rows(recorder)))


def _token_ids(recorder: Recorder) -> Tensor:
    return recorder.input("token_ids", ValueType(dtype=DType.INT64, shape=(TOKENS,)))


def _logit_rows(recorder: Recorder) -> Tensor:
    return recorder.input("logit_rows", ValueType(dtype=DType.INT64, shape=(ROWS,)))


def _finish(recorder: Recorder, outputs: Outputs) -> Graph:
    return recorder.finish({"hidden_states": outputs.hidden_states, "logits": outputs.logits})

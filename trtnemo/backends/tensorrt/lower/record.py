"""What an engine remembers of a plan besides its bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from trtnemo.backends.tensorrt.lower.settings import Phase
from trtnemo.trt.tensor_spec import TensorSpec


class PlanRecord(BaseModel):
    """One plan: its tensors, the layers that share it, and what the builder said.

    network_digest: of every layer as the network was written, so that an interpreter can tell that it runs the same;
    activation_bytes: scratch memory of one run at the profile's most; constant_bytes: held inside the plan;
    dense_bytes, expert_bytes: of weights that every run reads, and of one expert, of which a token reads
    `experts_per_token` of `experts`; built_from: digest of network, profile and builder; sha256: of the plan's bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    phase: Phase
    paths: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    network_digest: str
    dense_bytes: int = 0
    expert_bytes: int = 0
    experts: int = 0
    experts_per_token: int = 0
    plan_bytes: int = 0
    activation_bytes: int = 0
    constant_bytes: int = 0
    seconds: float = 0.0
    built_from: str = ""
    sha256: str = ""

    def bytes_read(self, tokens: int) -> int:
        """Return the bytes of weights that a run over so many tokens reads, with a router that chooses evenly."""
        if not self.experts:
            return self.dense_bytes
        touched = self.experts * (1 - (1 - self.experts_per_token / self.experts) ** tokens)
        return self.dense_bytes + round(self.expert_bytes * touched)

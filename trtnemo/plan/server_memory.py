"""What a server does with a device's memory: all that a plan knows of it.

What an option like `free_gpu_memory_fraction` means differs from server to server; `share` says which it is:
    rest    share for KV of what weights, states and workspace leave
    whole   share of the whole device for everything
    static  share of the whole device for weights, states and KV; the workspace lies in what is left
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from trtnemo.checkpoint.family.config import ModelConfig


@dataclass(frozen=True)
class StateBytes:
    """Bytes on one device of one stage: KV of one token, SSM and convolution state of one slot, layers of each kind."""

    kv_per_token: int
    ssm_per_slot: int
    conv_per_slot: int
    mamba_layers: int
    attention_layers: int

    @property
    def per_slot(self) -> int:
        """Bytes of one slot's fixed states."""
        return self.ssm_per_slot + self.conv_per_slot


@dataclass(frozen=True)
class Batch:
    """What a server reserves memory for: sequences of one device, and the settings that its reserve depends on."""

    size: int
    draft_tokens: int
    version: str | None
    attention_tensor: int
    attention_dp: bool
    block_reuse: bool
    graph_padding: bool

    def is_older_than(self, version: str) -> bool:
        """Return whether the server's version is older; one that is not given is not."""
        try:
            return self.version is not None and Version(self.version) < Version(version)
        except InvalidVersion:
            return False


@dataclass(frozen=True)
class Reservation:
    """Slots that are allocated, bytes of draft states, tokens of a KV page, and the reason.

    `inferred` reservations stand on code of another version or on memory of it.
    """

    slots: int
    draft_bytes: int
    page_tokens: int
    reason: str
    inferred: bool


Reserve = Callable[[Batch, ModelConfig, StateBytes], Reservation]


def one_slot_each(batch: Batch, config: ModelConfig, state: StateBytes) -> Reservation:
    """Return the reservation of a server that holds nothing back; drafts are replayed from their inputs."""
    return Reservation(batch.size, 0, 1, "one slot a sequence; drafts are replayed", inferred=False)


@dataclass(frozen=True)
class Start:
    """What a server's start checks look at, on one device of one stage.

    `share` is what the server's own option says; `pool` are the bytes of that share that weights and, where it lies
    inside, workspace leave for keys, values and states; `page_tokens` are the tokens of a KV page.
    """

    batch: Batch
    config: ModelConfig
    state: StateBytes
    memory_bytes: int
    unified: bool
    share: float
    pool: int
    page_tokens: int


@dataclass(frozen=True)
class StartFault:
    """Why a server refuses to start, or, where `stops` is false, why it may; what to do; and who says so."""

    name: str
    stops: bool
    sentence: str
    remedy: str
    source: str


StartCheck = Callable[[Start], StartFault | None]


@dataclass(frozen=True)
class ServerMemory:
    """A server's facts about memory.

    `states_with_kv`: a sequence's states come from the KV pool when it arrives, instead of being allocated at start.
    `experts_over_data`: experts are laid out over data-parallel replicas too. `tensor_sizes`: tensor parallel sizes
    that it takes of this family, all where empty. `on_host`: weights, states and workspace are a CPU process's.
    `start_checks`: what it looks at before it serves, beside whether a sequence fits.
    """

    title: str
    reserve: Reserve = one_slot_each
    share: Literal["rest", "whole", "static"] = "whole"
    states_with_kv: bool = False
    experts_over_data: bool = False
    tensor_sizes: tuple[int, ...] = ()
    on_host: bool = False
    start_checks: tuple[StartCheck, ...] = ()


# Our own runtimes: in a process on the CPU, and on a device.
NATIVE_CPU = ServerMemory("trtnemo on the CPU", on_host=True)
NATIVE_DEVICE = ServerMemory("trtnemo on a device")

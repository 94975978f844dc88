"""Whether it fits: need against budget on the fullest device, and the largest batch and context that do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.hardware import DeviceMemory
from trtnemo.plan.network import Network
from trtnemo.plan.server_memory import Reservation, Start, StartFault, StateBytes
from trtnemo.plan.state import state_bytes
from trtnemo.plan.weights import WeightBytes
from trtnemo.plan.workspace import WorkspaceBytes, workspace_bytes

LONGEST = 1 << 26


@dataclass(frozen=True)
class Need:
    """Bytes on one device for `batch` sequences of `context` tokens each; `spare` is negative where they do not fit."""

    batch: int
    context: int
    weights: int
    kv_cache: int
    states: int
    draft_states: int
    workspace: int
    spare: int

    @property
    def total(self) -> int:
        """All bytes together."""
        return self.weights + self.kv_cache + self.states + self.draft_states + self.workspace


class Fit:
    """Answers for one device of one pipeline stage."""

    def __init__(
        self, config: ModelConfig, deployment: Deployment, device: DeviceMemory, weights: int, stage: int
    ) -> None:
        self.config, self.deployment, self.device = config, deployment, device
        self.weights, self.stage = weights, stage
        self.state: StateBytes = state_bytes(config, deployment, stage)

    def workspace(self, batch: int) -> WorkspaceBytes:
        """Return the workspace for a batch."""
        return workspace_bytes(self.config, self.deployment, batch)

    def reservation(self, batch: int) -> Reservation:
        """Return what the server holds back for a batch."""
        return self.deployment.memory.reserve(self.deployment.batch(batch), self.config, self.state)

    def need(self, batch: int, context: int, resident: int | None = None) -> Need:
        """Return the bytes that a batch needs, `resident` of its sequences in the KV cache at once, all by default."""
        resident = batch if resident is None else resident
        held = self.reservation(resident if self.deployment.memory.states_with_kv else batch)
        pages = -(-context // held.page_tokens) * held.page_tokens
        kv_cache = resident * pages * self.state.kv_per_token
        states, workspace = held.slots * self.state.per_slot, self.workspace(batch).total
        spare = self._spare(kv_cache, states + held.draft_bytes, workspace)
        return Need(batch, context, self.weights, kv_cache, states, held.draft_bytes, workspace, spare)

    def _spare(self, kv_cache: int, states: int, workspace: int) -> int:
        memory, fraction = self.device.memory_bytes, self.deployment.memory_fraction
        if self.deployment.memory.share == "rest":
            left = memory - self.weights - states - workspace
            return (int(left * fraction) if left > 0 else left) - kv_cache
        if self.deployment.memory.share == "static":
            inside = int(memory * fraction) - self.weights - states - kv_cache
            return min(inside, self.outside - workspace)
        return int(memory * fraction) - self.weights - states - workspace - kv_cache

    @property
    def outside(self) -> int:
        """Bytes that the server's share leaves."""
        return self.device.memory_bytes - int(self.device.memory_bytes * self.deployment.memory_fraction)

    def start_faults(self) -> list[StartFault]:
        """Return what the server's own start checks find, those that stop it first."""
        deployment, memory = self.deployment, self.device.memory_bytes
        size = deployment.max_batch_size
        workspace = 0 if deployment.memory.share == "static" else self.workspace(size).total
        start = Start(
            batch=deployment.batch(size),
            config=self.config,
            state=self.state,
            memory_bytes=memory,
            unified=self.device.unified,
            share=deployment.memory_fraction,
            pool=max(int(memory * deployment.memory_fraction) - self.weights - workspace, 0),
            page_tokens=self.reservation(size).page_tokens,
        )
        found = [fault for check in deployment.memory.start_checks if (fault := check(start)) is not None]
        return sorted(found, key=lambda fault: not fault.stops)

    @property
    def is_refused(self) -> bool:
        """Whether the server's start checks stop it."""
        return any(fault.stops for fault in self.start_faults())

    def fits(self, batch: int, context: int) -> bool:
        """Return whether so many sequences fit at their full length."""
        return self.need(batch, context).spare >= 0

    def largest_batch(self, context: int, limit: int = 1 << 20) -> int:
        """Return the most sequences that fit at a length; 0 where not one does."""
        return _largest(lambda batch: self.fits(batch, context), limit)

    def largest_context(self, batch: int, limit: int = LONGEST) -> int:
        """Return the longest length that so many sequences fit at; 0 where none does."""
        return _largest(lambda context: self.fits(batch, context), limit)

    def resident(self, batch: int, context: int) -> int:
        """Return how many of the sequences can be at full length at once; -1 where the server cannot start."""
        return _largest(lambda number: self.need(batch, context, number).spare >= 0, batch, floor=-1)


def stage_fits(network: Network, deployment: Deployment, device: DeviceMemory, weights: list[WeightBytes]) -> list[Fit]:
    """Return one Fit for each pipeline stage."""
    return [
        Fit(network.config, deployment, device, sum(item.by_stage[stage] for item in weights), stage)
        for stage in range(deployment.pipeline)
    ]


def _largest(holds: Callable[[int], bool], limit: int, floor: int = 0) -> int:
    """Return the largest number up to `limit` that `holds`, by halving; `floor` where floor + 1 does not hold."""
    low, high = floor, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

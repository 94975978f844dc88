"""A plan: the verdict first, then every number it stands on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trtnemo.errors import CheckpointError
from trtnemo.plan.advice import advise
from trtnemo.plan.deployment import Deployment, require_divisible
from trtnemo.plan.fit import Fit, Need, stage_fits
from trtnemo.plan.hardware import Device, DeviceMemory
from trtnemo.plan.network import Network
from trtnemo.plan.roofline import ACCEPTANCE, Roofline, Speed
from trtnemo.plan.server_memory import Reservation, StateBytes
from trtnemo.plan.verdict import Verdict, judge
from trtnemo.plan.weights import WeightBytes, replicated_bytes, weight_bytes
from trtnemo.plan.workspace import WorkspaceBytes
from trtnemo.recipe.runtimes import OWN_RUNTIMES

_FRONTIER = tuple(1 << power for power in range(13))
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CHUNKS = (256, 1024, 4096, 16384)
_CONTEXT = 8192


@dataclass(frozen=True)
class Plan:
    """All of one plan. Bytes are of one device of the fullest pipeline stage unless they say otherwise.

    `frontier` pairs batches with the longest context that fits; empty batches are left out. `decode` is at a context
    of 8,192 tokens or the deployment's own, where that is shorter. Both are empty where the bandwidth is unknown.
    """

    network: Network
    deployment: Deployment
    device: Device
    weights: list[WeightBytes]
    stage: int
    replicated: int
    state: StateBytes
    reservation: Reservation
    workspace: WorkspaceBytes
    need: Need
    verdict: Verdict
    advice: list[str]
    frontier: list[tuple[int, int]]
    decode: list[Speed]
    prefill: list[Speed]
    acceptance: float


def make_plan(network: Network, deployment: Deployment, device: Device, acceptance: float = ACCEPTANCE) -> Plan:
    """Return the plan of a deployment; raises RecipeError where the network cannot be split as it asks."""
    require_divisible(deployment, network.config)
    _require_decodable(network, deployment)
    weights = weight_bytes(network.tensors, network.config, deployment)
    fits = stage_fits(network, deployment, device, weights)
    fit = fullest(fits)
    batch, context = deployment.max_batch_size, deployment.max_seq_len
    verdict = _judged(network, fit)
    roofline = Roofline(network, deployment, device, weights)
    at, is_bounded = min(_CONTEXT, context), device.bandwidth_gbs is not None
    return Plan(
        network=network,
        deployment=deployment,
        device=device,
        weights=weights,
        stage=fit.stage,
        replicated=replicated_bytes(weights, deployment),
        state=fit.state,
        reservation=fit.reservation(batch),
        workspace=fit.workspace(batch),
        need=fit.need(batch, context),
        verdict=verdict,
        advice=[] if verdict.kind == "fits" else advise(network, deployment, device),
        frontier=[
            (size, length) for size in _FRONTIER if (length := min(stage.largest_context(size) for stage in fits))
        ],
        decode=[roofline.decode(size, at, acceptance) for size in _batches(deployment) if is_bounded],
        prefill=[roofline.prefill(size) for size in _chunks(deployment) if is_bounded],
        acceptance=acceptance,
    )


def judge_deployment(network: Network, deployment: Deployment, device: DeviceMemory) -> Verdict:
    """Return the verdict alone; raises RecipeError where the network cannot be split as the deployment asks."""
    require_divisible(deployment, network.config)
    _require_decodable(network, deployment)
    weights = weight_bytes(network.tensors, network.config, deployment)
    return _judged(network, fullest(stage_fits(network, deployment, device, weights)))


def _require_decodable(network: Network, deployment: Deployment) -> None:
    """Raise CheckpointError where our own runtime is asked to run what it does not decode."""
    reason = network.quantization.undecodable if deployment.server in OWN_RUNTIMES else None
    if reason is not None:
        raise CheckpointError(reason, where=network.name, remedy="Plan it for a server that reads it")


def _judged(network: Network, fit: Fit) -> Verdict:
    """Return the verdict, with a warning where nothing known says that the server reads such weights."""
    verdict, tool, server = judge(fit), network.quantization.tool, fit.deployment.server
    if tool is None or server in tool.servers:
        return verdict
    doubt = f"nothing known here says that {server} reads {tool.title}: {tool.readers}"
    return replace(verdict, warnings=(*verdict.warnings, doubt))


def fullest(fits: list[Fit]) -> Fit:
    """Return the stage that the server's start checks stop, else the one that holds the fewest sequences.

    Of several it is the one with the least to spare.
    """

    def room(fit: Fit) -> tuple[bool, int, int]:
        batch, context = fit.deployment.max_batch_size, fit.deployment.max_seq_len
        return not fit.is_refused, fit.resident(batch, context), fit.need(batch, context).spare

    return min(fits, key=room)


def _batches(deployment: Deployment) -> list[int]:
    """Return the batches of all replicas together that the roofline is given for, the deployment's own last."""
    own = deployment.max_batch_size * deployment.replicas
    return [size for size in _BATCHES if size < own] + [own]


def _chunks(deployment: Deployment) -> list[int]:
    """Return the prompt chunks that the roofline is given for, the deployment's own last."""
    return [size for size in _CHUNKS if size < deployment.max_num_tokens] + [deployment.max_num_tokens]

"""The nearest changes that make a deployment fit, each tried and not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.plan.deployment import Deployment, require_divisible
from trtnemo.plan.fit import Fit, stage_fits
from trtnemo.plan.hardware import Device
from trtnemo.plan.network import Network
from trtnemo.plan.weights import weight_bytes

_SHORTEST = 1024
_MOST_DEVICES = 8


def advise(network: Network, deployment: Deployment, device: Device) -> list[str]:
    """Return single changes after which everything fits, smallest first; where none does, two changes together."""
    found = [text for text, changed in _changes(network, deployment, device) if _fits(network, changed, device)]
    return found or list(_pairs(network, deployment, device))


def _changes(network: Network, deployment: Deployment, device: Device) -> Iterator[tuple[str, Deployment]]:
    def change(text: str, **fields: Any) -> tuple[str, Deployment]:
        return text, deployment.model_copy(update=fields)

    batch, context = deployment.max_batch_size, deployment.max_seq_len
    here = _stages(network, deployment, device)
    fewer = min(fit.largest_batch(context, batch) for fit in here)
    if fewer:
        yield change(f"batch {fewer} at {context:,} tokens", max_batch_size=fewer)
    shorter = min(fit.largest_context(batch, context) for fit in here)
    if shorter >= _SHORTEST:
        yield change(f"batch {batch} at {shorter:,} tokens", max_seq_len=shorter)
    if deployment.ssm_dtype == "float32":
        yield change("SSM state in float16", ssm_dtype="float16")
    if deployment.kv_dtype != "fp8":
        yield change("KV cache in fp8", kv_dtype="fp8")
    if deployment.draft_tokens:
        yield change("no drafts: the draft head is not loaded then", draft_tokens=0)
    yield from _more_devices(network, deployment, device)


def _more_devices(network: Network, deployment: Deployment, device: Device) -> Iterator[tuple[str, Deployment]]:
    """Yield the fewest devices more, doubled, on which everything fits."""
    for text, changed in _doubled(network, deployment, device):
        if _fits(network, changed, device):
            yield text, changed
            return


def _pairs(network: Network, deployment: Deployment, device: Device) -> Iterator[str]:
    """Yield the fewest devices more with the largest batch, and with the longest context, that fit on them."""
    batch, context = deployment.max_batch_size, deployment.max_seq_len
    for text, changed in _doubled(network, deployment, device):
        stages = _stages(network, changed, device)
        fewer = min(fit.largest_batch(context, batch) for fit in stages)
        shorter = min(fit.largest_context(batch, context) for fit in stages)
        pairs = [(fewer, context)] * bool(fewer) + [(batch, shorter)] * (shorter >= _SHORTEST)
        changes = [{"max_batch_size": size, "max_seq_len": length} for size, length in pairs]
        if pairs and not any(_fits(network, changed.model_copy(update=change), device) for change in changes):
            return  # what the server's start checks stop, more devices do not mend
        yield from (f"{text}, batch {size} at {length:,} tokens" for size, length in pairs)
        if pairs:
            return


def _doubled(network: Network, deployment: Deployment, device: Device) -> Iterator[tuple[str, Deployment]]:
    """Yield the deployment over twice the devices, four times, ..., where the network can be split so."""
    count = deployment.ranks
    while (count := count * 2) <= _MOST_DEVICES:
        tensor = deployment.tensor * count // deployment.ranks
        changed = deployment.model_copy(update={"devices": count, "tensor": tensor, "expert": 1})
        if deployment.expert > 1 or deployment.tensor == 1:
            changed = changed.model_copy(update={"expert": changed.expert_group})
        if _splits(network, changed):
            yield f"{count}x {device.title}, tensor parallel {tensor}", changed


def _stages(network: Network, deployment: Deployment, device: Device) -> list[Fit]:
    weights = weight_bytes(network.tensors, network.config, deployment)
    return stage_fits(network, deployment, device, weights)


def _splits(network: Network, deployment: Deployment) -> bool:
    try:
        require_divisible(deployment, network.config)
    except RecipeError:
        return False
    return True


def _fits(network: Network, deployment: Deployment, device: Device) -> bool:
    batch, context = deployment.max_batch_size, deployment.max_seq_len
    return _splits(network, deployment) and all(
        fit.fits(batch, context) and not fit.is_refused for fit in _stages(network, deployment, device)
    )

"""The sentence that comes first: whether a deployment fits, starts, or does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trtnemo.plan.deployment import Deployment
from trtnemo.plan.fit import Fit
from trtnemo.plan.hardware import DeviceMemory
from trtnemo.plan.server_memory import StartFault
from trtnemo.plan.workspace import GIB


@dataclass(frozen=True)
class Verdict:
    """`fits`: every sequence at its full length at once; `starts`: fewer of them; `no`: not one, or no start at all.

    `warnings` say what may keep the server from starting all the same.
    """

    kind: Literal["fits", "starts", "no"]
    sentence: str
    resident: int
    warnings: tuple[str, ...] = ()


def judge(fit: Fit) -> Verdict:
    """Return the verdict on one device; a server whose own start checks stop it fits nothing."""
    verdict, faults = _by_memory(fit), fit.start_faults()
    where = hardware_text(fit.deployment, fit.device)
    if faults and faults[0].stops and verdict.kind != "no":
        verdict = Verdict("no", f"does not fit: {where}, {_text(faults[0])}", 0)
    return replace(verdict, warnings=tuple(_text(fault) for fault in faults if not fault.stops))


def _text(fault: StartFault) -> str:
    return f"{fault.sentence}; {fault.remedy} [{fault.source}]"


def _by_memory(fit: Fit) -> Verdict:
    """Return the verdict as far as bytes go."""
    deployment = fit.deployment
    batch, context = deployment.max_batch_size, deployment.max_seq_len
    need, where = fit.need(batch, context), hardware_text(deployment, fit.device)
    every = " on each device" if deployment.attention_dp else ""
    if need.spare >= 0:
        sentence = f"fits: {where}, batch {batch}{every} at {context:,} tokens, {gib(need.spare)} GiB spare"
        return Verdict("fits", sentence, batch)
    resident = fit.resident(batch, context)
    if resident >= 1:
        sentence = (
            f"starts: {where}, but the KV cache holds {resident} of {batch} sequences{every} at {context:,} tokens, "
            f"{gib(-need.spare)} GiB short of all"
        )
        return Verdict("starts", sentence, resident)
    alone = fit.need(1, context)
    if fit.weights > fit.device.memory_bytes:
        what = f"weights alone take {gib(fit.weights)} of {gib(fit.device.memory_bytes)} GiB"
    elif deployment.memory.share == "static" and alone.workspace > fit.outside:
        share = f"the server's share of {deployment.memory_fraction:g} leaves {gib(fit.outside)}"
        what = f"the workspace takes {gib(alone.workspace)} GiB and {share}"
    elif alone.spare < 0:
        what = f"not one sequence at {context:,} tokens: {gib(-alone.spare)} GiB short"
    else:
        room = f"leave no room for one at {context:,} tokens"
        what = f"states of {batch} sequences{every} {room}: {gib(-need.spare)} GiB short of all"
    return Verdict("no", f"does not fit: {where}, {what}", max(resident, 0))


def hardware_text(deployment: Deployment, device: DeviceMemory) -> str:
    """Return `2x H100`, or `1 of 2 H100` where the parallel sizes leave devices idle."""
    if deployment.ranks < deployment.devices:
        return f"{deployment.ranks} of {deployment.devices} {device.title}"
    return f"{deployment.devices}x {device.title}"


def gib(size: int) -> str:
    """Return bytes in GiB with one digit."""
    return f"{size / GIB:.1f}"

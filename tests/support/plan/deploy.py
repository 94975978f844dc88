"""Networks and deployments for tests of the plan."""

from __future__ import annotations

import functools
from typing import Any

from tests.support.checkpoints.configs import BASE
from trtnemo.checkpoint.family.config import parse_config
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.launch.servers.registry import find_server
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.fit import Fit
from trtnemo.plan.hardware import Device, find_device
from trtnemo.plan.network import Network, find_network
from trtnemo.plan.plan import make_plan
from trtnemo.plan.server_memory import NATIVE_CPU, NATIVE_DEVICE
from trtnemo.plan.weights import weight_bytes

MIB, GIB = 1 << 20, 1 << 30
SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-"


@functools.cache
def super_network(precision: str = "NVFP4") -> Network:
    """Return Super as released."""
    return find_network(SUPER + precision)


def small_network(**changes: object) -> Network:
    """Return a small network with keys of its config changed; None leaves one out."""
    data = {key: value for key, value in {**BASE, "intermediate_size": 64, **changes}.items() if value is not None}
    return Network("small", parse_config(data), QuantizationMap(), "a test")


def deployment(**fields: object) -> Deployment:
    """Return a deployment on one B200 of a server that holds nothing back, with fields changed."""
    shared = {"server": "tensorrt", "max_batch_size": 8, "max_num_tokens": 8192, "max_seq_len": 32768}
    chosen: dict[str, Any] = {**shared, **fields}
    sizes = [chosen.get(name, 1) for name in ("tensor", "pipeline", "data")]
    chosen.setdefault("devices", functools.reduce(int.__mul__, sizes))
    ours = {"cpu": NATIVE_CPU, "tensorrt": NATIVE_DEVICE}
    name = str(chosen["server"])
    return Deployment(**chosen, memory=ours[name] if name in ours else find_server(name).memory)


def fit_of(network: Network, chosen: Deployment, device: Device | str = "b200", stage: int = 0) -> Fit:
    """Return the fit of one pipeline stage."""
    weights = sum(item.by_stage[stage] for item in weight_bytes(network.tensors, network.config, chosen))
    found = find_device(device) if isinstance(device, str) else device
    return Fit(network.config, chosen, found, weights, stage)


def verdict_of(network: Network, device: str, **fields: object) -> str:
    """Return the kind of the verdict."""
    return make_plan(network, deployment(**fields), find_device(device)).verdict.kind


def by_kind(network: Network, chosen: Deployment) -> dict[str, int]:
    """Return the bytes on one device of all stages together, by kind."""
    return {item.kind: sum(item.by_stage) for item in weight_bytes(network.tensors, network.config, chosen)}

"""One launcher a device, for ops that are called from outside of an executor."""

from __future__ import annotations

from functools import cache

import torch

from trtnemo.errors import MachineError
from trtnemo.kernels.family import LEAST_CAPABILITY, family_of, overlaps
from trtnemo.kernels.launch import Launcher


@cache
def launcher_for(device: torch.device) -> Launcher:
    """Return the launcher of a device; raises MachineError where kernels are not for it.

    On a CPU, kernels must be interpreted (`mode.interpret_kernels`).
    """
    if device.type == "cpu":
        return Launcher(device, "mma")
    if device.type != "cuda":
        raise MachineError(f"our kernels run on NVIDIA GPUs, not on '{device}'")
    capability = torch.cuda.get_device_capability(device)
    if capability < LEAST_CAPABILITY:
        raise MachineError(f"{device} has compute capability {capability[0]}.{capability[1]}; our kernels need 8.0")
    launch = Launcher(device, family_of(capability), overlaps(capability))
    launch.lock()  # made now: a graph that captured its making would leave it unmade for others
    return launch

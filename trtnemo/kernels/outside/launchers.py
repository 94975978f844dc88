"""One launcher a device, for ops that are called from outside of an executor."""

from __future__ import annotations

from functools import cache

import torch

from trtnemo.errors import MachineError
from trtnemo.kernels.family import family_of, overlaps, require_kernels_for
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
    require_kernels_for(capability, str(device))
    launch = Launcher(device, family_of(capability), overlaps(capability))
    launch.lock()  # made now: a graph that captured its making would leave it unmade for others
    return launch

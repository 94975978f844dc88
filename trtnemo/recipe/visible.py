"""Which of a machine's GPUs a process sees first."""

from __future__ import annotations

import os
from collections.abc import Sequence

from trtnemo.errors import MachineError
from trtnemo.gpus import InstalledDevice

_VISIBLE, _ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
_BY_BUS = "PCI_BUS_ID"


def first_visible(devices: Sequence[InstalledDevice]) -> InstalledDevice:
    """Return the first device that CUDA_VISIBLE_DEVICES leaves, by its number or its UUID, which may be cut short.

    Raises MachineError where it leaves none, names a MIG instance, or counts devices that differ: CUDA puts the fastest
    first, nvidia-smi goes by the bus. Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    told = os.environ.get(_VISIBLE)
    word = "0" if told is None else told.split(",")[0].strip()
    if word.startswith("MIG-"):
        raise MachineError(
            f"{_VISIBLE} names a MIG instance, whose memory nvidia-smi tells elsewhere",
            remedy="Name the recipe of its GPU, and state the memory: --set hardware.memory_mib=MIB",
        )
    if word.startswith("GPU-"):
        chosen = [device for device in devices if device.uuid.lower().startswith(word.lower())]
        return _only(chosen, word)
    if not word.isdecimal():
        return _only([], word)
    if len({device.name for device in devices}) > 1 and os.environ.get(_ORDER) != _BY_BUS:
        names = ", ".join(device.name for device in devices)
        raise MachineError(
            f"this machine's GPUs differ ({names}): CUDA counts the fastest first, nvidia-smi by the bus",
            remedy=f"Set {_ORDER}={_BY_BUS}, so that both count alike, or name one by its UUID in {_VISIBLE}",
        )
    return _only(list(devices[int(word) : int(word) + 1]), word)


def _only(chosen: list[InstalledDevice], word: str) -> InstalledDevice:
    if len(chosen) == 1:
        return chosen[0]
    raise MachineError(
        f"{_VISIBLE} begins with {word!r}, which is {'more than one' if chosen else 'none'} of this machine's GPUs",
        remedy="`nvidia-smi -L` lists them",
    )

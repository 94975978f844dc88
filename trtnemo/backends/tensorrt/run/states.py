"""State of all slots on the device: one tensor per layer and role, a slot per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trtnemo.backends.tensorrt.run.plan import DEVICE_TYPES
from trtnemo.trt.tensor_spec import TensorSpec

Key = tuple[str, str]
_CACHES = ("keys", "values")  # [heads, tokens, dim]: only the entries of committed tokens are worth a copy


@dataclass(frozen=True)
class DeviceCopy:
    """A slot's state, on the device."""

    states: dict[Key, Tensor]
    last_hidden: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(state.nbytes for state in self.states.values())

    def swap_out(self) -> None:
        """Do nothing: a copied state shares nothing."""


class States:
    """Allocated when plans are bound; `slots` sequences."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self._slots = slots
        self._device = device
        self._tensors: dict[Key, Tensor] = {}

    def find(self, node: str, role: str, spec: TensorSpec) -> Tensor:
        """Return the state of a node [slots, ...], zero at first."""
        key = (node, role)
        if key not in self._tensors:
            shape = spec.shape({"B": self._slots})
            self._tensors[key] = torch.zeros(shape, dtype=DEVICE_TYPES[spec.element], device=self._device)
        return self._tensors[key]

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(state.nbytes for state in self._tensors.values())

    def clear(self, slots: Sequence[int]) -> None:
        """Forget what the recurrent states of some slots hold; KV caches are overwritten before they are read."""
        for (_, role), state in self._tensors.items():
            if role not in _CACHES:
                for slot in slots:
                    state[slot].zero_()

    def copy(self, slot: int, length: int) -> dict[Key, Tensor]:
        """Return a copy of a slot's state after `length` tokens."""
        return {key: _held(state[slot], key, length).clone() for key, state in self._tensors.items()}

    def put(self, slot: int, states: dict[Key, Tensor], length: int) -> None:
        """Give a slot a copied state."""
        for key, state in states.items():
            _held(self._tensors[key][slot], key, length).copy_(state)


def _held(state: Tensor, key: Key, length: int) -> Tensor:
    return state[:, :length] if key[1] in _CACHES else state

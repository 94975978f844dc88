"""The calls of ICudaEngine and IExecutionContext that our runtime uses, over an interpreted network.

Addresses are of host memory. Shapes are compared with the optimization profile, as a deserialized plan holds them.
"""

from __future__ import annotations

from typing import Any

import torch

from trtnemo.errors import EngineError
from trtnemo.trt.build import Profile
from trtnemo.trt.interpreter.instruction import Declared
from trtnemo.trt.interpreter.program import Program
from trtnemo.trt.interpreter.values import memory, read, resolve
from trtnemo.trt.library import Library


class InterpretedEngine:
    """A network as if it had been built and deserialized; `profile` is what it would have been built for."""

    def __init__(self, library: Library, network: Any, profile: Profile) -> None:
        self._network = network  # layers live as long as their network
        self.program = Program(library.module, network)
        self.profile = profile
        inputs = [Declared.of(network.get_input(index)) for index in range(network.num_inputs)]
        self.inputs = {declared.name: declared for declared in inputs}
        self.outputs = {declared.name: declared for declared in self.program.outputs}
        self.aliases = self.program.find_aliases()

    @property
    def num_io_tensors(self) -> int:
        """How many inputs and outputs there are."""
        return len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        """Return the name of one of them, inputs first."""
        return [*self.inputs, *self.outputs][index]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        """Return the shapes at least, best and most of an input."""
        shape = self.inputs[name].shape
        return list(self.profile.get(name, (shape, shape, shape)))

    def get_aliased_input_tensor(self, name: str) -> str:
        """Return the input that an output must share its memory with; empty when there is none."""
        return self.aliases.get(name, "")

    def create_execution_context(self) -> InterpretedContext:
        """Return a context of its own shapes and addresses."""
        return InterpretedContext(self)


class InterpretedContext:
    """One run at a time of an interpreted engine."""

    def __init__(self, engine: InterpretedEngine) -> None:
        self.engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Take the shape of an input; False where the profile does not hold it."""
        declared = self.engine.inputs.get(name)
        if declared is None:
            return False
        least, _, most = self.engine.get_tensor_profile_shape(name, 0)
        fits = len(shape) == len(least) and all(
            low <= size <= high for low, size, high in zip(least, shape, most, strict=True)
        )
        if fits:
            self._shapes[name] = tuple(shape)
        return fits

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Take the address of an input or output; False where there is no such tensor."""
        if name not in self.engine.inputs and name not in self.engine.outputs:
            return False
        self._addresses[name] = address
        return True

    @torch.inference_mode()
    def execute_async_v3(self, stream_handle: int) -> bool:
        """Run now, the stream ignored; raises EngineError on what a plan would call undefined behaviour."""
        self._check()
        inputs = {
            name: read(self._addresses[name], declared.element, self._shape(declared))
            for name, declared in self.engine.inputs.items()
        }
        outputs = self.engine.program.run(inputs)
        for name, value in outputs.items():
            if name in self.engine.aliases:
                continue  # written in place
            made = resolve(value)
            memory(self._addresses[name], self.engine.outputs[name].element, tuple(made.shape)).copy_(made)
        return True

    def _shape(self, declared: Declared) -> tuple[int, ...]:
        return self._shapes.get(declared.name, declared.shape)

    def _check(self) -> None:
        names = [*self.engine.inputs, *self.engine.outputs]
        unbound = [name for name in names if name not in self._addresses]
        unshaped = [name for name, declared in self.engine.inputs.items() if -1 in self._shape(declared)]
        if unbound or unshaped:
            raise EngineError(f"tensors without an address: {unbound}; without a shape: {unshaped}")
        for output, cache in self.engine.aliases.items():
            if self._addresses[output] != self._addresses[cache]:
                raise EngineError(f"'{output}' must lie where '{cache}' lies: it is updated in place")

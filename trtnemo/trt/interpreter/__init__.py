"""An INetworkDefinition executed layer by layer in torch, behind the calls of an execution context."""

from trtnemo.trt.interpreter.context import InterpretedContext, InterpretedEngine

__all__ = ["InterpretedContext", "InterpretedEngine"]

"""The typed graph that every lowering starts from."""

from trtnemo.graph.graph import Graph, Node
from trtnemo.graph.op import Op
from trtnemo.graph.parameter import EXPERT, ParameterSpec
from trtnemo.graph.recorder import Recorder, Tensor, current_recorder, recording
from trtnemo.graph.types import ROWS, TOKENS, DType, StateSpec, ValueType

__all__ = [
    "EXPERT",
    "ROWS",
    "TOKENS",
    "DType",
    "Graph",
    "Node",
    "Op",
    "ParameterSpec",
    "Recorder",
    "StateSpec",
    "Tensor",
    "ValueType",
    "current_recorder",
    "recording",
]

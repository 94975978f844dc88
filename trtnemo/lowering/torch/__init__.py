"""The plain-torch lowering: the reference for all others."""

from trtnemo.lowering.torch.executor import TorchExecutor
from trtnemo.lowering.torch.weights import load_weights

__all__ = ["TorchExecutor", "load_weights"]

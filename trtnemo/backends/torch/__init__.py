"""The plain-torch lowering: the reference for all others."""

from trtnemo.backends.torch.executor import TorchExecutor
from trtnemo.backends.torch.weights import load_weights

__all__ = ["TorchExecutor", "load_weights"]

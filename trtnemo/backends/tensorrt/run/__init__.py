"""Serialized TensorRT plans behind the Executor protocol; over the interpreter where there is no GPU."""

from trtnemo.backends.tensorrt.run.executor import TensorrtExecutor

__all__ = ["TensorrtExecutor"]

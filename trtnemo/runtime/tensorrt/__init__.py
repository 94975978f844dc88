"""Serialized TensorRT plans behind the Executor protocol; over the interpreter where there is no GPU."""

from trtnemo.runtime.tensorrt.executor import TensorrtExecutor

__all__ = ["TensorrtExecutor"]

"""One graph, several forms. This package imports no torch; its `torch` subpackage does."""

from trtnemo.backends.executor import Budget, DraftToken, Executor, Snapshot
from trtnemo.backends.step import Segment, StepBatch, StepResult, make_batch

__all__ = ["Budget", "DraftToken", "Executor", "Segment", "Snapshot", "StepBatch", "StepResult", "make_batch"]

"""One graph, several forms. This package imports no torch; its `torch` subpackage does."""

from trtnemo.backends.draw import Draw, Drawer, Proposal
from trtnemo.backends.executor import Budget, DraftToken, Executor, Snapshot
from trtnemo.backends.step import Row, Segment, StepBatch, StepResult, make_batch

__all__ = [
    "Budget",
    "DraftToken",
    "Draw",
    "Drawer",
    "Executor",
    "Proposal",
    "Row",
    "Segment",
    "Snapshot",
    "StepBatch",
    "StepResult",
    "make_batch",
]

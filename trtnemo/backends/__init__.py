"""One graph, several forms. This package imports no torch; its `torch` subpackage does."""

from trtnemo.backends.draw import Draw, Drawer, Proposal
from trtnemo.backends.executor import Budget, DraftToken, Executor, Snapshot
from trtnemo.backends.portable import Bytes, Pieces, Portable, SnapshotForm
from trtnemo.backends.step import Row, Segment, StepBatch, StepResult, make_batch

__all__ = [
    "Budget",
    "Bytes",
    "DraftToken",
    "Draw",
    "Drawer",
    "Executor",
    "Pieces",
    "Portable",
    "Proposal",
    "Row",
    "Segment",
    "Snapshot",
    "SnapshotForm",
    "StepBatch",
    "StepResult",
    "make_batch",
]

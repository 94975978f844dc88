"""The model card's accuracy table, and how a measured score compares with it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Precision = Literal["bf16", "fp8", "nvfp4"]
CARD = Path(__file__).resolve().parent / "card_accuracy.json"
# Points. The card's own columns differ by up to 2.4 between precisions; two standard errors come on top.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Suite:
    """One row of the card: scores in per cent by precision, and the tasks that measure it.

    `task` is NeMo Evaluator's, where NVIDIA's own file for the model has it; `lm_eval` the nearest of lm-eval, whose
    prompts differ from the card's.
    """

    name: str
    bf16: float
    fp8: float
    nvfp4: float
    task: str | None = None
    lm_eval: str | None = None
    judge: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def score(self, precision: Precision) -> float:
        """Return the card's score in per cent."""
        value: float = getattr(self, precision)
        return value


@functools.cache
def card_suites() -> tuple[Suite, ...]:
    """Return every row of the card's table."""
    return tuple(Suite(**row) for row in json.loads(CARD.read_text(encoding="utf-8"))["suites"])


@dataclass(frozen=True)
class Comparison:
    """A measured score beside the card's, both in per cent."""

    task: str
    metric: str
    score: float
    standard_error: float | None
    card: float | None
    suite: str | None

    @property
    def allowed(self) -> float:
        """How far below the card a score may lie: one point and two standard errors."""
        return TOLERANCE + 2 * (self.standard_error or 0.0)

    @property
    def verdict(self) -> Literal["as the card", "below the card", "above the card", "not on the card"]:
        """How the score stands to the card's."""
        if self.card is None:
            return "not on the card"
        if self.score < self.card - self.allowed:
            return "below the card"
        return "above the card" if self.score > self.card + self.allowed else "as the card"


def compare(task: str, metric: str, score: float, standard_error: float | None, precision: Precision) -> Comparison:
    """Return how a score in per cent of an lm-eval task stands to the card's of the same suite."""
    suite = next((row for row in card_suites() if row.lm_eval == task), None)
    card = suite.score(precision) if suite is not None else None
    return Comparison(task, metric, score, standard_error, card, suite.name if suite is not None else None)
